#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/scalar.h"
#include "config/value.h"

/* Plain where every YAML reader sees a text: no sign, digit or other mark at the start, no word with a meaning. */
static bool is_plain(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+=-";
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    size_t dots = strspn(text, ".");

    if (text[0] == '\0' || text[strspn(text, others)] != '\0')
        return false;
    if (strchr(letters, text[0]) == NULL && text[dots] != '/')
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return false;
    return true;
}

/* Decodes one character of valid UTF-8; its length in bytes. */
static int decode(const char *text, unsigned *character)
{
    const unsigned char *byte = (const unsigned char *)text;
    int length = byte[0] < 0x80 ? 1 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;

    *character = length == 1 ? byte[0] : byte[0] & (0x7fu >> length);
    for (int i = 1; i < length; i++)
        *character = *character << 6 | (byte[i] & 0x3fu);
    return length;
}

/* What YAML does not take as it is, or reads as an end of line. */
static bool wants_escape(unsigned character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 || character == 0x2029 ||
           character == 0xfeff || character == 0xfffe || character == 0xffff;
}

void value_print_quoted(const char *text, struct text *out)
{
    int length;

    text_add(out, "\"");
    for (; *text != '\0'; text += length) {
        unsigned character;

        length = decode(text, &character);
        if (wants_escape(character))
            text_add(out, "\\u%04x", character);
        else
            text_add(out, "%s%.*s", character == '"' || character == '\\' ? "\\" : "", length, text);
    }
    text_add(out, "\"");
}

void value_print_text(const char *text, struct text *out)
{
    if (is_plain(text))
        text_add(out, "%s", text);
    else
        value_print_quoted(text, out);
}

static void print_list(const struct config_list *list, struct text *out)
{
    text_add(out, "[");
    for (int64_t i = 0; i < list->count; i++) {
        text_add(out, "%s", i > 0 ? ", " : "");
        value_print_text(list->items[i], out);
    }
    text_add(out, "]");
}

static void print_map(const struct config_map *map, struct text *out)
{
    text_add(out, "{");
    for (int64_t i = 0; i < map->count; i++) {
        text_add(out, "%s", i > 0 ? ", " : "");
        value_print_text(map->pairs[i].name, out);
        text_add(out, ": ");
        if (map->pairs[i].kind == CONFIG_PAIR_TEXT)
            value_print_text(map->pairs[i].text, out);
        else
            text_add(out, "%s", map->pairs[i].text);
    }
    text_add(out, "}");
}

static const char *choice_text(enum config_key_id key, const void *member)
{
    int value;

    memcpy(&value, member, sizeof value);
    for (const struct config_choice *choice = config_choices; choice->text != NULL; choice++)
        if (choice->key == key && choice->value == value)
            return choice->text;
    return "";
}

void value_print(const struct config *config, enum config_key_id key, struct text *out)
{
    const struct config_key *row = &config_keys[key];
    const void *member = (const char *)config + row->offset;
    char digits[80];

    switch (row->type) {
    case CONFIG_TYPE_TEXT:
        value_print_text(*(char *const *)member, out);
        return;
    case CONFIG_TYPE_LIST:
        print_list(member, out);
        return;
    case CONFIG_TYPE_MAP:
        print_map(member, out);
        return;
    case CONFIG_TYPE_FLAG:
        text_add(out, "%s", *(const bool *)member ? "true" : "false");
        return;
    case CONFIG_TYPE_INTEGER:
        if (*(const int64_t *)member == 0 && row->zero[0] != '\0')
            text_add(out, "%s", row->zero);
        else
            text_add(out, "%lld", (long long)*(const int64_t *)member);
        return;
    case CONFIG_TYPE_NUMBER:
        scalar_print_number(*(const double *)member, digits, sizeof digits);
        text_add(out, "%s", digits);
        return;
    case CONFIG_TYPE_DURATION:
        scalar_print_duration(*(const int64_t *)member, digits, sizeof digits);
        text_add(out, "%s%s", digits, digits[0] == '\0' ? "\"\"" : "");
        return;
    case CONFIG_TYPE_CHOICE:
        text_add(out, "%s", choice_text(key, member));
        return;
    }
}

void value_clear(struct config *config, enum config_key_id key)
{
    void *member = (char *)config + config_keys[key].offset;

    if (config_keys[key].type == CONFIG_TYPE_TEXT) {
        free(*(char **)member);
        *(char **)member = NULL;
    } else if (config_keys[key].type == CONFIG_TYPE_LIST) {
        struct config_list *list = member;

        for (int64_t i = 0; i < list->count; i++)
            free(list->items[i]);
        free(list->items);
        *list = (struct config_list){0};
    } else if (config_keys[key].type == CONFIG_TYPE_MAP) {
        struct config_map *map = member;

        for (int64_t i = 0; i < map->count; i++) {
            free(map->pairs[i].name);
            free(map->pairs[i].text);
        }
        free(map->pairs);
        *map = (struct config_map){0};
    }
}
