#include "plugin/note.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/checked.h"

#if defined(__aarch64__)
#define HOST_MACHINE      EM_AARCH64
#define HOST_MACHINE_NAME "aarch64"
#else
#define HOST_MACHINE      EM_X86_64
#define HOST_MACHINE_NAME "x86-64"
#endif

#define SEGMENTS_MAX   256       /* a real plugin has about ten */
#define NOTE_BYTES_MAX (1 << 20) /* of one note segment */

/* An open file, and where its failures go. */
struct elf_file {
    const struct file_system *fs;
    int handle;
    int64_t size;
    struct error *error;
};

static int elf_read(const struct elf_file *file, void *data, size_t bytes, int64_t offset)
{
    char *to = data;

    while (bytes > 0) {
        int64_t got = file->fs->read(file->fs, file->handle, to, bytes, offset);

        if (got == -EINTR)
            continue;
        if (got < 0)
            return error_set(file->error, STATUS_BACKEND, "could not be read: %s", strerror((int)-got));
        if (got == 0)
            return error_set(file->error, STATUS_BACKEND, "became shorter while it was read");
        to += got;
        bytes -= (size_t)got;
        offset += got;
    }
    return STATUS_OK;
}

static int check_header(const struct elf_file *file, const Elf64_Ehdr *header)
{
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return error_set(file->error, STATUS_BACKEND, "is not an ELF file");
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
        return error_set(file->error, STATUS_BACKEND, "is not a 64-bit little-endian ELF file");
    if (header->e_machine != HOST_MACHINE)
        return error_set(file->error, STATUS_BACKEND, "is made for another processor (ELF machine %u, wanted %u, %s)",
                         (unsigned)header->e_machine, (unsigned)HOST_MACHINE, HOST_MACHINE_NAME);
    if (header->e_type != ET_DYN)
        return error_set(file->error, STATUS_BACKEND, "is not a shared object (ELF type %u, wanted %u)",
                         (unsigned)header->e_type, (unsigned)ET_DYN);
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 || header->e_phnum > SEGMENTS_MAX)
        return error_set(file->error, STATUS_BACKEND, "has a malformed ELF header (%u segments of %u bytes)",
                         (unsigned)header->e_phnum, (unsigned)header->e_phentsize);
    return STATUS_OK;
}

/* True when [offset, offset + bytes) lies inside the file. */
static bool inside(const struct elf_file *file, uint64_t offset, uint64_t bytes)
{
    return offset <= (uint64_t)file->size && bytes <= (uint64_t)file->size - offset;
}

static bool is_name(const char *text, size_t bytes)
{
    size_t length = strnlen(text, bytes);

    if (length == 0 || length == bytes)
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == length;
}

static bool is_printable(const char *text, size_t bytes)
{
    size_t length = strnlen(text, bytes);

    for (size_t i = 0; i < length; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    return length < bytes;
}

/* `data` is the description that follows the owner in struct llmrun_note. */
static int decode(const struct elf_file *file, const unsigned char *data, struct plugin_note *note)
{
    memcpy(&note->abi_major, data, 4);
    memcpy(&note->abi_minor, data + 4, 4);
    memcpy(&note->kind, data + 8, 4);
    memcpy(&note->isa, data + 12, 4);
    memcpy(note->name, data + 16, sizeof note->name);
    memcpy(note->version, data + 48, sizeof note->version);
    if (!is_name(note->name, sizeof note->name))
        return error_set(file->error, STATUS_BACKEND,
                         "has an llmrun note whose name is not 1 to 31 of the characters a-z 0-9 - _ .");
    if (!is_printable(note->version, sizeof note->version))
        return error_set(file->error, STATUS_BACKEND, "has an llmrun note whose version is not printable text");
    return STATUS_OK;
}

/* Looks for llmrun's note among the notes of one segment. *found counts. */
static int scan_segment(const struct elf_file *file, const Elf64_Phdr *segment, struct plugin_note *note, int *found)
{
    const int64_t description_bytes = (int64_t)sizeof(struct llmrun_note) - 20;
    const int64_t end = (int64_t)segment->p_filesz;
    const int64_t unit = segment->p_align == 8 ? 8 : 4;
    int64_t at = 0;

    if (end > NOTE_BYTES_MAX)
        return error_set(file->error, STATUS_BACKEND, "has %lld bytes of notes, more than any plugin needs",
                         (long long)end);
    while (end - at >= (int64_t)sizeof(Elf64_Nhdr)) {
        int64_t base = (int64_t)segment->p_offset + at, owner_end, next;
        unsigned char body[8 + sizeof(struct llmrun_note) - 20];
        Elf64_Nhdr header;
        int result = elf_read(file, &header, sizeof header, base);

        if (result != STATUS_OK)
            return result;
        owner_end = round_up((int64_t)sizeof header + header.n_namesz, unit);
        next = round_up(owner_end + header.n_descsz, unit);
        if (owner_end + header.n_descsz > end - at)
            return error_set(file->error, STATUS_BACKEND, "has a malformed ELF note, longer than its segment");
        if (header.n_namesz == sizeof "llmrun" && header.n_type == LLMRUN_NOTE_TYPE &&
            header.n_descsz >= description_bytes) {
            /* With 4-byte units the owner's 7 bytes take 8, so the description follows as in struct llmrun_note. */
            result = elf_read(file, body, 8, base + (int64_t)sizeof header);
            if (result == STATUS_OK)
                result = elf_read(file, body + 8, (size_t)description_bytes, base + owner_end);
            if (result == STATUS_OK && memcmp(body, "llmrun", sizeof "llmrun") == 0) {
                *found += 1;
                result = decode(file, body + 8, note);
            }
            if (result != STATUS_OK)
                return result;
        }
        at = next <= end - at ? at + next : end;
    }
    return STATUS_OK;
}

static int scan_file(const struct elf_file *file, struct plugin_note *note)
{
    Elf64_Ehdr header;
    Elf64_Phdr segments[SEGMENTS_MAX];
    int found = 0, result;

    if (file->size < (int64_t)sizeof header) {
        char magic[SELFMAG] = {0};

        if (file->size >= SELFMAG && elf_read(file, magic, sizeof magic, 0) == STATUS_OK &&
            memcmp(magic, ELFMAG, SELFMAG) == 0)
            return error_set(file->error, STATUS_BACKEND, "is cut short: %lld bytes, an ELF header has %zu",
                             (long long)file->size, sizeof header);
        return error_set(file->error, STATUS_BACKEND, "is not an ELF file");
    }
    result = elf_read(file, &header, sizeof header, 0);
    if (result == STATUS_OK)
        result = check_header(file, &header);
    if (result != STATUS_OK)
        return result;
    if (!inside(file, header.e_phoff, (uint64_t)header.e_phnum * sizeof segments[0]))
        return error_set(file->error, STATUS_BACKEND, "is cut short: its segment table lies beyond its %lld bytes",
                         (long long)file->size);
    result = elf_read(file, segments, header.e_phnum * sizeof segments[0], (int64_t)header.e_phoff);
    if (result != STATUS_OK)
        return result;
    for (int i = 0; i < header.e_phnum; i++)
        if ((segments[i].p_type == PT_LOAD || segments[i].p_type == PT_NOTE) &&
            !inside(file, segments[i].p_offset, segments[i].p_filesz))
            return error_set(file->error, STATUS_BACKEND,
                             "is cut short: segment %d has %llu bytes from byte %llu, the file ends at %lld", i,
                             (unsigned long long)segments[i].p_filesz, (unsigned long long)segments[i].p_offset,
                             (long long)file->size);
    if (header.e_shoff != 0 &&
        !inside(file, header.e_shoff, (uint64_t)header.e_shnum * header.e_shentsize)) /* the last thing in a file */
        return error_set(file->error, STATUS_BACKEND, "is cut short: its section table lies beyond its %lld bytes",
                         (long long)file->size);
    for (int i = 0; i < header.e_phnum && result == STATUS_OK; i++)
        if (segments[i].p_type == PT_NOTE)
            result = scan_segment(file, &segments[i], note, &found);
    if (result == STATUS_OK && found == 0)
        return error_set(file->error, STATUS_BACKEND, "carries no llmrun note, so it is no llmrun plugin");
    if (result == STATUS_OK && found > 1)
        return error_set(file->error, STATUS_BACKEND, "carries %d llmrun notes, a plugin has one", found);
    return result;
}

int plugin_note_read(const struct file_system *fs, const char *path, struct plugin_note *note, struct error *error)
{
    struct elf_file file = {.fs = fs, .error = error};
    int result;

    memset(note, 0, sizeof *note);
    file.handle = fs->open(fs, path, FILE_READ);
    if (file.handle < 0)
        return error_set(error, STATUS_BACKEND, "cannot be opened: %s", strerror(-file.handle));
    file.size = fs->size(fs, file.handle);
    if (file.size < 0)
        result = error_set(error, STATUS_BACKEND, "cannot be read: %s", strerror((int)-file.size));
    else
        result = scan_file(&file, note);
    fs->close(fs, file.handle);
    return result;
}

const char *plugin_kind_name(uint32_t kind)
{
    return kind == LLMRUN_PLUGIN_BACKEND ? "backend" : kind == LLMRUN_PLUGIN_COLLECTIVE ? "collective" : NULL;
}
