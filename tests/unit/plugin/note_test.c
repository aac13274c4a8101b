#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "memory_elf.h"
#include "plugin/note.h"

static struct memory_elf elf;

static int read_elf(int64_t size, struct plugin_note *note, struct error *error)
{
    struct memory_files files;

    memory_files_init(&files, &elf, size);
    return plugin_note_read(&files.fs, "memory", note, error);
}

/* The file as `elf` stands is refused with a sentence that holds `part`. */
static void assert_refused(const char *part)
{
    struct plugin_note note;
    struct error error = {0};

    assert_int_equal(read_elf(sizeof elf, &note, &error), STATUS_BACKEND);
    if (strstr(error.message, part) == NULL)
        fail_msg("the reason is \"%s\", not \"%s\"", error.message, part);
}

static int set_up(void **state)
{
    (void)state;
    memory_elf_init(&elf);
    return 0;
}

static void the_note_of_a_plugin_is_read(void **state)
{
    struct plugin_note note;
    struct error error;

    (void)state;
    assert_int_equal(read_elf(sizeof elf, &note, &error), STATUS_OK);
    assert_int_equal(note.abi_major, 0);
    assert_int_equal(note.abi_minor, 1);
    assert_int_equal(note.kind, LLMRUN_PLUGIN_BACKEND);
    assert_int_equal(note.isa, LLMRUN_ISA_BASELINE);
    assert_string_equal(note.name, "mine");
    assert_string_equal(note.version, "1.2.3");
}

static void short_reads_and_interrupts_are_carried_on(void **state)
{
    struct memory_files files;
    struct plugin_note note;
    struct error error;

    (void)state;
    memory_files_init(&files, &elf, sizeof elf);
    files.chunk = 3;
    files.interrupts = 5;
    assert_int_equal(plugin_note_read(&files.fs, "memory", &note, &error), STATUS_OK);
    assert_string_equal(note.name, "mine");
}

static void a_description_that_has_grown_at_its_end_is_read(void **state)
{
    struct plugin_note note;
    struct error error;

    (void)state;
    elf.note.description_bytes += 40;
    elf.segments[1].p_filesz += 40;
    assert_int_equal(read_elf(sizeof elf, &note, &error), STATUS_OK);
    assert_string_equal(note.name, "mine");
}

static void a_text_file_is_no_elf(void **state)
{
    static const char text[] = "#!/bin/sh\necho this is a text file that somebody named libllmrun-text.so by mistake\n";
    struct memory_files files;
    struct plugin_note note;
    struct error error;

    (void)state;
    memory_files_init(&files, text, sizeof text);
    assert_int_equal(plugin_note_read(&files.fs, "memory", &note, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "is not an ELF file");
    files.size = 2;
    assert_int_equal(plugin_note_read(&files.fs, "memory", &note, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "is not an ELF file");
    files.size = 0;
    assert_int_equal(plugin_note_read(&files.fs, "memory", &note, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "is not an ELF file");
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    struct plugin_note note;
    struct error error;

    (void)state;
    for (int64_t size = 0; size < (int64_t)sizeof elf; size++) {
        assert_int_equal(read_elf(size, &note, &error), STATUS_BACKEND);
        if (size >= SELFMAG)
            assert_non_null(strstr(error.message, "is cut short"));
    }
}

static void another_class_order_or_processor_is_refused(void **state)
{
    (void)state;
    elf.header.e_ident[EI_CLASS] = ELFCLASS32;
    assert_refused("is not a 64-bit little-endian ELF file");
    memory_elf_init(&elf);
    elf.header.e_ident[EI_DATA] = ELFDATA2MSB;
    assert_refused("is not a 64-bit little-endian ELF file");
    memory_elf_init(&elf);
    elf.header.e_machine = EM_RISCV;
    assert_refused("is made for another processor (ELF machine 243");
    memory_elf_init(&elf);
    elf.header.e_type = ET_REL;
    assert_refused("is not a shared object");
}

static void a_malformed_segment_table_is_refused(void **state)
{
    (void)state;
    elf.header.e_phnum = 0;
    assert_refused("malformed ELF header");
    elf.header.e_phnum = 65535;
    assert_refused("malformed ELF header");
    memory_elf_init(&elf);
    elf.header.e_phentsize = 1;
    assert_refused("malformed ELF header");
    memory_elf_init(&elf);
    elf.header.e_phoff = UINT64_MAX - 8;
    assert_refused("its segment table lies beyond");
}

static void a_segment_beyond_the_end_is_refused(void **state)
{
    (void)state;
    elf.segments[0].p_filesz += 1;
    assert_refused("is cut short: segment 0");
    memory_elf_init(&elf);
    elf.segments[0].p_offset = UINT64_MAX;
    assert_refused("is cut short: segment 0");
    memory_elf_init(&elf);
    elf.segments[1].p_filesz = UINT64_MAX;
    assert_refused("is cut short: segment 1");
}

static void a_note_longer_than_its_segment_is_refused(void **state)
{
    (void)state;
    elf.note.description_bytes = UINT32_MAX;
    assert_refused("malformed ELF note");
    memory_elf_init(&elf);
    elf.foreign.header.n_namesz = UINT32_MAX;
    assert_refused("malformed ELF note");
}

static void a_library_without_the_note_is_no_plugin(void **state)
{
    (void)state;
    elf.segments[1].p_filesz = sizeof elf.foreign;
    assert_refused("carries no llmrun note, so it is no llmrun plugin");
    memory_elf_init(&elf);
    elf.note.type = 2;
    assert_refused("carries no llmrun note");
    memory_elf_init(&elf);
    memcpy(elf.note.owner, "llmrux", 6);
    assert_refused("carries no llmrun note");
    memory_elf_init(&elf);
    elf.note.description_bytes -= 4;
    elf.segments[1].p_filesz -= 4;
    assert_refused("carries no llmrun note");
}

static void two_notes_are_refused(void **state)
{
    (void)state;
    elf.segments[1].p_filesz += sizeof elf.second;
    assert_refused("carries 2 llmrun notes");
}

static void a_name_that_is_no_name_is_refused(void **state)
{
    (void)state;
    elf.note.name[0] = '\0';
    assert_refused("whose name is not 1 to 31");
    memset(elf.note.name, 'a', sizeof elf.note.name); /* without an end, and nothing behind it */
    elf.note.version[0] = '\0';
    assert_refused("whose name is not 1 to 31");
    strcpy(elf.note.name, "../evil");
    assert_refused("whose name is not 1 to 31");
    memory_elf_init(&elf);
    elf.note.version[0] = '\n';
    assert_refused("whose version is not printable text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_note_of_a_plugin_is_read, set_up),
        cmocka_unit_test_setup(short_reads_and_interrupts_are_carried_on, set_up),
        cmocka_unit_test_setup(a_description_that_has_grown_at_its_end_is_read, set_up),
        cmocka_unit_test_setup(a_text_file_is_no_elf, set_up),
        cmocka_unit_test_setup(a_file_cut_anywhere_is_refused, set_up),
        cmocka_unit_test_setup(another_class_order_or_processor_is_refused, set_up),
        cmocka_unit_test_setup(a_malformed_segment_table_is_refused, set_up),
        cmocka_unit_test_setup(a_segment_beyond_the_end_is_refused, set_up),
        cmocka_unit_test_setup(a_note_longer_than_its_segment_is_refused, set_up),
        cmocka_unit_test_setup(a_library_without_the_note_is_no_plugin, set_up),
        cmocka_unit_test_setup(two_notes_are_refused, set_up),
        cmocka_unit_test_setup(a_name_that_is_no_name_is_refused, set_up),
    };

    return cmocka_run_group_tests_name("plugin note", tests, NULL, NULL);
}
