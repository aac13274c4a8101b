/* Writes docs/config.md from the config table: `generate_config > docs/config.md`. */
#include <stdio.h>
#include <string.h>

#include "config/keys.h"

/* What Markdown would take for a tag or a column. */
static void print_escaped(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<')
            fputs("&lt;", stdout);
        else if (*text == '|')
            fputs("\\|", stdout);
        else
            putchar(*text);
    }
}

static void print_row(enum config_key_id key)
{
    const struct config_key *row = &config_keys[key];
    char text[400];

    printf("| `%s` | `%s` | ", row->dotted, row->standard[0] != '\0' ? row->standard : "\"\"");
    config_describe(key, text, sizeof text);
    print_escaped(text);
    printf(" | ");
    print_escaped(row->help);
    for (const struct config_alias *alias = config_aliases; alias->dotted != NULL; alias++)
        if (alias->key == key)
            printf(" (formerly `%s`, still accepted)", alias->dotted);
    puts(row->resume == CONFIG_FIXED ? " | yes |" : row->resume == CONFIG_CONTENT ? " | contents |" : " | |");
}

/* Which command uses which key: config/commands.def. */
static void print_commands(void)
{
    puts("\n## Commands\n\n"
         "Which command uses which key. A flag or a variable of a key that the command does not use is refused (exit "
         "code 2); a\n"
         "config file may hold it, and so may the config that a run has stored. `config show` takes every key.\n");
    fputs("| key |", stdout);
    for (int command = 0; command < CONFIG_COMMANDS; command++)
        printf(" %s |", config_command_name(command));
    fputs("\n|---|", stdout);
    for (int command = 0; command < CONFIG_COMMANDS; command++)
        fputs("---|", stdout);
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (!config_is_shown((enum config_key_id)key))
            continue;
        printf("\n| `%s` |", config_keys[key].dotted);
        for (int command = 0; command < CONFIG_COMMANDS; command++)
            fputs((config_key_commands[key] >> command & 1) != 0 ? " yes |" : " |", stdout);
    }
    puts("");
}

int main(void)
{
    puts("# Config\n\n"
         "Generated from `core/config/keys.def`: do not edit.\n\n"
         "A key is set in a YAML file (`train: {steps: 100}`), in the environment (`LLMRUN_TRAIN_STEPS=100`) or by a "
         "flag\n"
         "(`--train.steps 100`). A flag beats the environment, that beats the file, and that beats the default; "
         "`llmrun config\n"
         "show` prints every value with its source. Keys marked *fixed* must be the same when a run is resumed; where "
         "that column\n"
         "says *contents*, other names will do if they name the same contents. Keys and choices of features that "
         "are not there\n"
         "yet are not listed; such a key takes no other value than its default.\n\n"
         "Where `model.path` is set, `data.tokenizer` and `model.dropout` follow from its files, and with the stored "
         "weights\n"
         "`model.overrides.tie_word_embeddings`, unless they are set; their source is `model.path` then. A resumed run "
         "keeps\n"
         "what it began with.\n\n"
         "The value of a flag or a variable is YAML, but for texts: these are taken as they are, with every space, "
         "quote and `#`\n"
         "(`--run.dir 'a #b'`). Where a list of texts is wanted, one name stands for a list of one and is taken as it "
         "is; several\n"
         "are a list of YAML, `'[a.txt, \"b #c.txt\"]'`. What begins with `[` is such a list unless a file has that "
         "name.\n\n"
         "Files are YAML 1.1 without anchors, aliases, tags and second documents, at most 1 MiB. Setting "
         "`model.preset` or\n"
         "`model.path` replaces the other and drops `model.overrides` of lower levels; overrides of higher levels are "
         "merged\n"
         "into those of lower ones, key by key.");
    for (const struct config_section *section = config_sections; section->name != NULL; section++) {
        printf("\n## %s\n\n%s.\n\n| key | default | accepts | meaning | fixed |\n|---|---|---|---|---|\n",
               section->name, section->help);
        for (int key = 0; key < CONFIG_KEYS; key++)
            if (strcmp(config_keys[key].section, section->name) == 0 && config_is_shown((enum config_key_id)key))
                print_row((enum config_key_id)key);
    }
    print_commands();
    return 0;
}
