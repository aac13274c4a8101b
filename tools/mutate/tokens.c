#include "tokens.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool token_is(const struct source *s, int i, const char *text)
{
    return i >= 0 && i < s->count && s->tokens[i].end - s->tokens[i].begin == (long)strlen(text) &&
           strncmp(s->text + s->tokens[i].begin, text, strlen(text)) == 0;
}

static bool is_one_of(const struct source *s, int i, const char *const *texts)
{
    for (; *texts != NULL; texts++)
        if (token_is(s, i, *texts))
            return true;
    return false;
}

bool token_is_statement(const struct source *s, int i)
{
    static const char *const words[] = {"if", "while", "for", "switch", "return", "case", "else", "do", "goto", NULL};

    return is_one_of(s, i, words);
}

bool token_is_type(const struct source *s, int i)
{
    static const char *const words[] = {"int",   "char",   "float", "double", "void",  "unsigned", "signed",   "long",
                                        "short", "struct", "enum",  "union",  "const", "bool",     "volatile", NULL};
    const struct token *token = &s->tokens[i];

    if (i < 0 || token->kind != NAME)
        return false;
    return is_one_of(s, i, words) || strncmp(s->text + token->end - 2, "_t", 2) == 0 || token_is(s, i - 1, "struct") ||
           token_is(s, i - 1, "enum") || token_is(s, i - 1, "union");
}

static void add(struct source *s, enum kind kind, long begin, long end, int line)
{
    if ((s->count & (s->count + 1)) == 0)
        s->tokens = realloc(s->tokens, (size_t)(2 * s->count + 2) * sizeof *s->tokens);
    if (s->tokens == NULL)
        exit(1);
    s->tokens[s->count++] = (struct token){kind, begin, end, line, -1, false};
}

static long mark_length(const char *text)
{
    static const char *const longer[] = {"<<=", ">>=", "...", "->", "++", "--", "<<", ">>", "<=", ">=", "==",
                                         "!=",  "&&",  "||",  "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="};

    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++)
        if (strncmp(text, longer[i], strlen(longer[i])) == 0)
            return (long)strlen(longer[i]);
    return 1;
}

/* Behind a comment, a literal or a preprocessor line that begins at `i`; `i` where there is none. */
static long skip(const char *text, long i)
{
    long begin = i;

    if (text[i] == '/' && text[i + 1] == '*') {
        const char *end = strstr(text + i + 2, "*/");

        return end == NULL ? (long)strlen(text) : end + 2 - text;
    }
    if ((text[i] == '/' && text[i + 1] == '/') || text[i] == '#') {
        while (text[i] != '\0' && (text[i] != '\n' || text[i - 1] == '\\'))
            i++;
        return i;
    }
    if (text[i] == '"' || text[i] == '\'')
        for (i++; text[i] != '\0' && text[i] != text[begin]; i++)
            i += text[i] == '\\';
    return i == begin ? i : i + 1;
}

static void read_tokens(struct source *s)
{
    const char *text = s->text;
    int line = 1;

    for (long i = 0; i < s->bytes;) {
        long begin = i, end = skip(text, i);

        if (isspace((unsigned char)text[i])) {
            line += text[i++] == '\n';
            continue;
        }
        if (end > i) {
            if (text[i] == '"' || text[i] == '\'')
                add(s, TEXT, begin, end, line);
            for (; i < end; i++)
                line += text[i] == '\n';
            continue;
        }
        if (isalnum((unsigned char)text[i]) || text[i] == '_') {
            while (isalnum((unsigned char)text[i]) || text[i] == '_' ||
                   (isdigit((unsigned char)text[begin]) && text[i] == '.') ||
                   (isdigit((unsigned char)text[begin]) && strchr("+-", text[i]) != NULL &&
                    strchr("eE", text[i - 1]) != NULL && strncmp(text + begin, "0x", 2) != 0))
                i++;
            add(s, isdigit((unsigned char)text[begin]) ? NUMBER : NAME, begin, i, line);
            continue;
        }
        i += mark_length(text + i);
        add(s, MARK, begin, i, line);
    }
}

static void find_partners(struct source *s)
{
    int *open = malloc((size_t)s->count * sizeof *open + 1), depth = 0;

    for (int i = 0; i < s->count; i++) {
        if (token_is(s, i, "(") || token_is(s, i, "[") || token_is(s, i, "{"))
            open[depth++] = i;
        if ((token_is(s, i, ")") || token_is(s, i, "]") || token_is(s, i, "}")) && depth > 0) {
            s->tokens[i].partner = open[--depth];
            s->tokens[open[depth]].partner = i;
        }
    }
    free(open);
}

static int leave_alone(struct source *s, int first, int last)
{
    for (int i = first; i <= last && i < s->count; i++)
        s->tokens[i].left_alone = true;
    return last;
}

static int find_from(const struct source *s, int i, const char *mark)
{
    while (i < s->count && !token_is(s, i, mark))
        i = s->tokens[i].partner > i ? s->tokens[i].partner + 1 : i + 1;
    return i;
}

/* The third part of a `for` whose bracket opens at `i`. */
static void leave_for(struct source *s, int i)
{
    int second = find_from(s, find_from(s, i + 1, ";") + 1, ";");

    leave_alone(s, second, s->tokens[i].partner);
}

static void leave_what_is_no_code(struct source *s)
{
    static const char *const words[] = {"assert", "static_assert", "_Static_assert", "sizeof", NULL};

    for (int i = 0; i < s->count; i++) {
        if (token_is(s, i, "{") && token_is(s, i - 1, ")")) { /* a function */
            for (int j = i + 1; j < s->tokens[i].partner; j++) {
                const bool dimension = token_is(s, j, "[") && s->tokens[j - 1].kind == NAME &&
                                       (token_is_type(s, j - 2) || token_is(s, j - 2, "*"));

                if (token_is(s, j, "static") || token_is(s, j, "case") || token_is(s, j, "enum"))
                    leave_alone(s, j, find_from(s, j, token_is(s, j, "case") ? ":" : ";"));
                if ((is_one_of(s, j, words) && token_is(s, j + 1, "(")))
                    leave_alone(s, j, s->tokens[j + 1].partner);
                if (dimension)
                    leave_alone(s, j, s->tokens[j].partner);
                if (token_is(s, j, "for") && token_is(s, j + 1, "("))
                    leave_for(s, j + 1);
            }
            i = s->tokens[i].partner;
        } else {
            leave_alone(s, i, i);
        }
        if (i < 0)
            return;
    }
}

bool source_read(const char *path, struct source *s)
{
    FILE *file = fopen(path, "rb");

    memset(s, 0, sizeof *s);
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (s->bytes = ftell(file)) < 0 ||
        (s->text = calloc((size_t)s->bytes + 8, 1)) == NULL) {
        fprintf(stderr, "mutate: %s cannot be read\n", path);
        return false;
    }
    rewind(file);
    s->bytes = (long)fread(s->text, 1, (size_t)s->bytes, file);
    fclose(file);
    read_tokens(s);
    find_partners(s);
    leave_what_is_no_code(s);
    return true;
}

void source_free(struct source *s)
{
    free(s->text);
    free(s->tokens);
}
