#include "memory_elf.h"

#include <errno.h>
#include <string.h>

void memory_elf_init(struct memory_elf *elf)
{
    memset(elf, 0, sizeof *elf);
    memcpy(elf->header.e_ident, ELFMAG, SELFMAG);
    elf->header.e_ident[EI_CLASS] = ELFCLASS64;
    elf->header.e_ident[EI_DATA] = ELFDATA2LSB;
    elf->header.e_type = ET_DYN;
    elf->header.e_machine = OWN_MACHINE;
    elf->header.e_phoff = offsetof(struct memory_elf, segments);
    elf->header.e_phentsize = sizeof(Elf64_Phdr);
    elf->header.e_phnum = 3;
    elf->segments[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_filesz = sizeof *elf};
    elf->segments[1] = (Elf64_Phdr){.p_type = PT_NOTE,
                                    .p_offset = offsetof(struct memory_elf, foreign),
                                    .p_filesz = sizeof elf->foreign + sizeof elf->note,
                                    .p_align = 4};
    elf->foreign.header = (Elf64_Nhdr){.n_namesz = 4, .n_descsz = 20, .n_type = 3};
    memcpy(elf->foreign.owner, "GNU", 4);
    elf->note = (struct llmrun_note){.owner_bytes = 7,
                                     .description_bytes = sizeof elf->note - 20,
                                     .type = LLMRUN_NOTE_TYPE,
                                     .owner = "llmrun",
                                     .abi_major = 0,
                                     .abi_minor = 1,
                                     .kind = LLMRUN_PLUGIN_BACKEND,
                                     .isa = LLMRUN_ISA_BASELINE,
                                     .name = "mine",
                                     .version = "1.2.3"};
    elf->second = elf->note;
}

static int memory_open(const struct file_system *fs, const char *path, enum file_mode mode)
{
    (void)fs;
    (void)path;
    (void)mode;
    return 0;
}

static int64_t memory_read(const struct file_system *fs, int handle, void *data, size_t bytes, int64_t offset)
{
    struct memory_files *files = (struct memory_files *)(uintptr_t)fs;
    int64_t left = files->size - offset;

    (void)handle;
    if (files->interrupts > 0) {
        files->interrupts--;
        return -EINTR;
    }
    if (offset < 0)
        return -EINVAL;
    if (left <= 0)
        return 0;
    if ((int64_t)bytes < left)
        left = (int64_t)bytes;
    if (files->chunk > 0 && files->chunk < left)
        left = files->chunk;
    memcpy(data, (const char *)files->data + offset, (size_t)left);
    return left;
}

static int64_t memory_size(const struct file_system *fs, int handle)
{
    (void)handle;
    return ((const struct memory_files *)fs)->size;
}

static int memory_close(const struct file_system *fs, int handle)
{
    (void)fs;
    (void)handle;
    return 0;
}

void memory_files_init(struct memory_files *files, const void *data, int64_t size)
{
    memset(files, 0, sizeof *files);
    files->fs =
        (struct file_system){.open = memory_open, .read = memory_read, .size = memory_size, .close = memory_close};
    files->data = data;
    files->size = size;
}
