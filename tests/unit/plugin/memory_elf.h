/* A small ELF file in memory with one llmrun note, and a file system that serves it. */
#ifndef LLMRUN_TEST_MEMORY_ELF_H
#define LLMRUN_TEST_MEMORY_ELF_H

#include <elf.h>

#include <llmrun/types.h>

#include "base/file.h"

#if defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#define OWN_MACHINE EM_X86_64
#endif

/* Laid out as it stands in the file: the segments name the parts by their offsets. */
struct memory_elf {
    Elf64_Ehdr header;
    Elf64_Phdr segments[3]; /* PT_LOAD over all, PT_NOTE, PT_NULL */
    struct {
        Elf64_Nhdr header;
        char owner[4];
        char description[20];
    } foreign; /* as the linker's build id */
    struct llmrun_note note;
    struct llmrun_note second; /* in no segment unless a test makes it so */
};

void memory_elf_init(struct memory_elf *elf);

/* Serves the first `size` bytes at `data` under every path. `chunk` > 0: a read gives at most as many bytes. */
struct memory_files {
    struct file_system fs; /* first: the functions get this pointer */
    const void *data;
    int64_t size;
    int64_t chunk;
    int64_t interrupts; /* reads that first end with EINTR */
};

void memory_files_init(struct memory_files *files, const void *data, int64_t size);

#endif
