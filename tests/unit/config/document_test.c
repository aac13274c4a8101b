#include "support.h"

#include <stdlib.h>

#include "config/document.h"

static void refused(const char *text, int64_t bytes, const char *sentence)
{
    struct document document;
    struct error error = {0};

    assert_int_equal(document_parse(&document, "f.yaml", true, text, bytes, &error), STATUS_USAGE);
    if (strncmp(error.message, sentence, strlen(sentence)) != 0)
        fail_msg("\"%s\" is not \"%s\"", error.message, sentence);
    assert_null(document.nodes);
}

static void refused_text(const char *text, const char *sentence)
{
    refused(text, (int64_t)strlen(text), sentence);
}

static void a_document_is_a_tree_with_places(void **state)
{
    const char *text = "a:\n  b: [1, 'x y']\n  c: {d: ~}\n";
    struct document document;
    struct error error = {0};
    const struct document_node *node;

    (void)state;
    assert_int_equal(document_parse(&document, "f.yaml", true, text, (int64_t)strlen(text), &error), STATUS_OK);
    assert_int_equal(document.nodes[0].kind, DOCUMENT_MAP);
    node = &document.nodes[document.nodes[0].first]; /* a */
    assert_string_equal(node->key, "a");
    assert_int_equal(node->next, -1);
    node = &document.nodes[node->first]; /* b */
    assert_string_equal(node->key, "b");
    assert_int_equal(node->kind, DOCUMENT_LIST);
    assert_int_equal(node->key_line, 2);
    assert_int_equal(node->key_column, 3);
    assert_int_equal(node->column, 6);
    assert_string_equal(document.nodes[node->first].text, "1");
    assert_false(document.nodes[node->first].quoted);
    assert_string_equal(document.nodes[document.nodes[node->first].next].text, "x y");
    assert_true(document.nodes[document.nodes[node->first].next].quoted);
    node = &document.nodes[node->next]; /* c */
    assert_int_equal(node->kind, DOCUMENT_MAP);
    assert_true(document_is_null(&document.nodes[node->first]));
    document_finish(&document);
}

static void what_a_config_has_no_use_for_is_refused(void **state)
{
    (void)state;
    refused_text("a: &x 1\n", "f.yaml:1:4: anchors and aliases (& and *) are not read here");
    refused_text("a: *x\n", "f.yaml:1:4: anchors and aliases (& and *) are not read here");
    refused_text("a: !!int 3\n", "f.yaml:1:4: tags (!) are not read here");
    refused_text("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here; one is read");
    refused_text("[a]: 1\n", "f.yaml:1:1: a key is a word, not a list or a map");
    refused_text("'': 1\n", "f.yaml:1:1: a key is the empty text; a name is wanted");
    refused_text("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key a stands here twice, first on line 1; keep one of them");
    refused_text("a: \"x\\0y\"\n", "f.yaml:1:4: a text holds the character NUL");
}

static void broken_text_is_refused_with_its_place(void **state)
{
    (void)state;
    refused_text("a: [1, 2\nb: 3\n", "f.yaml:2:2: broken YAML: ");
    refused_text("a: 1\n b: 2\n", "f.yaml:2:3: broken YAML: mapping values are not allowed in this context");
    refused_text("a:\n\tb: 1\n", "f.yaml:2:1: a tab indents this line; YAML takes spaces");
    refused_text("a: \"x\n", "f.yaml:2:1: broken YAML: ");
    refused_text("a: 1\nb: \xff\n", "f.yaml:2:4: not a text in UTF-8: ");
    refused_text("a: \x01\n", "f.yaml:1:4: not a text in UTF-8: control characters are not allowed");
    refused("a: \0b", 5, "f.yaml:1:4: ");
}

static void deep_nesting_is_refused(void **state)
{
    char text[4096];

    (void)state;
    memset(text, '[', sizeof text);
    refused(text, sizeof text, "f.yaml:1:17: nested more than 16 levels deep");
}

static void more_values_or_keys_than_a_config_needs_are_refused(void **state)
{
    char *text = malloc(DOCUMENT_LARGEST_BYTES + 1);
    int used = 0;

    (void)state;
    text[0] = '[';
    for (int i = 1; i < 300000; i++)
        text[i] = i % 2 == 1 ? 'a' : ',';
    refused(text, 300000, "f.yaml:1:131072: more than 65536 values");
    for (int i = 0; i < 1025; i++)
        used += sprintf(text + used, "k%d: 1\n", i);
    refused(text, used, "f.yaml:1025:1: more than 1024 keys in one map");
    refused(text, DOCUMENT_LARGEST_BYTES + 1, "f.yaml:1:1: it has 1048577 bytes; at most 1048576 are read");
    free(text);
}

static void a_flag_s_text_is_placed_by_its_name_alone(void **state)
{
    struct document document;
    struct error error = {0};

    (void)state;
    assert_int_equal(document_parse(&document, "--data.train", false, "[a", 2, &error), STATUS_USAGE);
    assert_memory_equal(error.message, "--data.train: broken YAML: ", strlen("--data.train: broken YAML: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_a_tree_with_places),
        cmocka_unit_test(what_a_config_has_no_use_for_is_refused),
        cmocka_unit_test(broken_text_is_refused_with_its_place),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(more_values_or_keys_than_a_config_needs_are_refused),
        cmocka_unit_test(a_flag_s_text_is_placed_by_its_name_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
