#include "data/builtin.h"

/* The assembler copies the gathered file into the object: a million bytes as a C array would take the compiler seconds.
 */
__asm__(".section .rodata\n"
        ".global llmrun_builtin_text_begin\n"
        ".hidden llmrun_builtin_text_begin\n"
        ".global llmrun_builtin_text_end\n"
        ".hidden llmrun_builtin_text_end\n"
        "llmrun_builtin_text_begin:\n"
        ".incbin \"" LLMRUN_BUILTIN_FILE "\"\n"
        "llmrun_builtin_text_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char llmrun_builtin_text_begin[] __attribute__((visibility("hidden")));
extern const char llmrun_builtin_text_end[] __attribute__((visibility("hidden")));

const char *builtin_text(int64_t *bytes)
{
    *bytes = llmrun_builtin_text_end - llmrun_builtin_text_begin;
    return llmrun_builtin_text_begin;
}
