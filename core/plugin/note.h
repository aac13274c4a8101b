/* What a plugin says of itself in its ELF note, read from the file before any of its code runs. */
#ifndef LLMRUN_PLUGIN_NOTE_H
#define LLMRUN_PLUGIN_NOTE_H

#include <llmrun/types.h>

#include "base/file.h"
#include "base/status.h"

struct plugin_note {
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t kind; /* LLMRUN_PLUGIN_BACKEND ... */
    uint32_t isa;  /* LLMRUN_ISA_X86_64 ... */
    char name[32];
    char version[32];
};

/* Reads the note of the shared object `path`. Refuses with STATUS_BACKEND and a sentence: a file that is missing, no
 * ELF, of another class, byte order or machine, no shared object, cut short (dlopen would end in SIGBUS), without a
 * note, or with a note that is malformed. Every offset and size of the file is checked before use. Any thread; blocks
 * on the file. */
int plugin_note_read(const struct file_system *fs, const char *path, struct plugin_note *note, struct error *error);

/* "backend", "collective"; NULL for a kind that this host does not know. */
const char *plugin_kind_name(uint32_t kind);

#endif
