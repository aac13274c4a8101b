#include "data/file_kind.h"

#include <string.h>
#include <strings.h>

#include "data/utf8_count.h"

enum kind { JSON, TABLE, COLUMNS, MARKUP, DOCUMENT, ARCHIVE, COMPRESSED, NUMBERS, WEIGHTS, DATABASE, MEDIA, PROGRAM };

static const struct {
    const char *what, *mend;
} kinds[] = {
    [JSON] = {"JSON", "write one object a line and name it .jsonl (of an array: jq -c '.[]')"},
    [TABLE] = {"a table", "write its texts as JSONL, {\"text\": ...} a line"},
    [COLUMNS] = {"a columnar file", "write its texts as JSONL, {\"text\": ...} a line"},
    [MARKUP] = {"HTML", "extract its text, or name it .txt to learn the markup"},
    [DOCUMENT] = {"a document with a format of its own", "extract its text"},
    [ARCHIVE] = {"an archive", "unpack it and name its files"},
    [COMPRESSED] = {"compressed in a way that is not read", "unpack it; gzip and zstd are read"},
    [NUMBERS] = {"an array of numbers", "give the text that its tokens were made of"},
    [WEIGHTS] = {"a file of weights", "give text to train on"},
    [DATABASE] = {"a file of records", "write its texts as JSONL, {\"text\": ...} a line"},
    [MEDIA] = {"an image, a sound or a film", "give text to train on"},
    [PROGRAM] = {"a compiled program", "give text to train on"},
};

static const struct {
    const char *names; /* endings, each with a space behind it */
    enum kind kind;
} endings[] = {
    {"json geojson json5 jsonc jsonld ipynb ", JSON},
    {"csv tsv psv arff xls xlsx xlsm ods ", TABLE},
    {"parquet arrow feather orc avro lance ", COLUMNS},
    {"html htm xhtml mhtml ", MARKUP},
    {"pdf doc docx docm odt rtf epub mobi azw3 djvu ppt pptx odp ", DOCUMENT},
    {"zip tar tgz tbz tbz2 txz tzst 7z rar jar whl deb rpm iso warc wet ", ARCHIVE},
    {"bz2 xz lzma lz4 lzo br sz snappy z ", COMPRESSED},
    {"idx bin npy npz mat ", NUMBERS},
    {"pt pth ckpt safetensors gguf ggml onnx tflite h5 hdf5 pkl pickle msgpack ", WEIGHTS},
    {"tfrecord tfrecords mds lmdb mdb db sqlite sqlite3 rds rdata ", DATABASE},
    {"png jpg jpeg gif webp bmp tif tiff ico mp3 wav flac ogg opus m4a mp4 mkv avi mov webm ", MEDIA},
    {"exe dll so dylib pyc pyd class wasm ", PROGRAM},
};

static const struct {
    int offset;
    const char *bytes;
    int count;
    const char *name;
    enum kind kind;
} marks[] = {
    {0, "\x1f\x8b", 2, "gzip", COMPRESSED},
    {0, "\x28\xb5\x2f\xfd", 4, "zstd", COMPRESSED},
    {0, "\xfd\x37zXZ\0", 6, "xz", COMPRESSED},
    {4, "1AY&SY", 6, "bzip2", COMPRESSED},
    {0, "\x1f\x9d", 2, "compress", COMPRESSED},
    {0, "\x04\x22\x4d\x18", 4, "lz4", COMPRESSED},
    {0, "LZIP\x01", 5, "lzip", COMPRESSED},
    {0, "PK\x03\x04", 4, "zip", ARCHIVE},
    {0, "PK\x05\x06", 4, "zip", ARCHIVE},
    {0, "7z\xbc\xaf\x27\x1c", 6, "7z", ARCHIVE},
    {0, "Rar!\x1a\x07", 6, "rar", ARCHIVE},
    {257, "ustar\0", 6, "tar", ARCHIVE},
    {257, "ustar  ", 7, "tar", ARCHIVE},
    {0, "!<arch>\n", 8, "ar", ARCHIVE},
    {0, "%PDF-", 5, "PDF", DOCUMENT},
    {0, "{\\rtf", 5, "RTF", DOCUMENT},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, "Microsoft Office", DOCUMENT},
    {0, "PAR1\x15", 5, "Parquet", COLUMNS},
    {0, "ARROW1\0\0", 8, "Arrow", COLUMNS},
    {0, "\xff\xff\xff\xff", 4, "an Arrow stream", COLUMNS},
    {0, "FEA1\0\0\0\0", 8, "Feather", COLUMNS},
    {0, "Obj\x01", 4, "Avro", COLUMNS},
    {0, "MMIDIDX\0\0", 9, "an index of Megatron", NUMBERS},
    {0, "\x93NUMPY", 6, "NumPy", NUMBERS},
    {0, "\x80\x02", 2, "pickle", WEIGHTS},
    {0, "\x80\x03", 2, "pickle", WEIGHTS},
    {0, "\x80\x04", 2, "pickle", WEIGHTS},
    {0, "\x80\x05", 2, "pickle", WEIGHTS},
    {0, "GGUF\x02\0\0\0", 8, "GGUF", WEIGHTS},
    {0, "GGUF\x03\0\0\0", 8, "GGUF", WEIGHTS},
    {3, "\0\0\0\0\0{", 6, "safetensors", WEIGHTS},
    {0, "\x89HDF\r\n\x1a\n", 8, "HDF5", WEIGHTS},
    {0, "SQLite format 3\0", 16, "SQLite", DATABASE},
    {0, "\x89PNG\r\n\x1a\n", 8, "PNG", MEDIA},
    {0, "\xff\xd8\xff", 3, "JPEG", MEDIA},
    {0, "GIF87a", 6, "GIF", MEDIA},
    {0, "GIF89a", 6, "GIF", MEDIA},
    {8, "WEBPVP8", 7, "WebP", MEDIA},
    {8, "WAVEfmt ", 8, "WAV", MEDIA},
    {8, "AVI LIST", 8, "AVI", MEDIA},
    {4, "ftypisom", 8, "MP4", MEDIA},
    {4, "ftypmp4", 7, "MP4", MEDIA},
    {4, "ftypM4A ", 8, "MP4", MEDIA},
    {4, "ftypqt  ", 8, "QuickTime", MEDIA},
    {0, "OggS\0", 5, "Ogg", MEDIA},
    {0, "fLaC\0", 5, "FLAC", MEDIA},
    {0, "ID3\x03\0", 5, "MP3", MEDIA},
    {0, "ID3\x04\0", 5, "MP3", MEDIA},
    {0,
     "\x7f"
     "ELF",
     4, "ELF", PROGRAM},
    {0, "MZ\x90\0", 4, "Windows", PROGRAM},
    {0, "\xca\xfe\xba\xbe", 4, "Java or Mach-O", PROGRAM},
    {0, "\0asm", 4, "WebAssembly", PROGRAM},
};

/* The last ending of the first `length` bytes of a name; its length, 0 where it has none. */
static int last_ending(const char *name, int length, const char **ending)
{
    int at = length;

    while (at > 0 && name[at - 1] != '.' && name[at - 1] != '/')
        at--;
    *ending = name + at;
    return at >= 2 && name[at - 1] == '.' && name[at - 2] != '/' ? length - at : 0;
}

static bool is_one_of(const char *ending, int length, const char *names)
{
    for (const char *space; (space = strchr(names, ' ')) != NULL; names = space + 1)
        if (space - names == length && strncasecmp(ending, names, (size_t)length) == 0)
            return true;
    return false;
}

int file_kind_of_name(const char *name, struct file_name_kind *kind, struct error *error)
{
    const char *ending;
    int length = (int)strlen(name), bytes = last_ending(name, length, &ending);

    *kind = (struct file_name_kind){.compression = is_one_of(ending, bytes, "gz gzip ")    ? COMPRESSION_GZIP
                                                   : is_one_of(ending, bytes, "zst zstd ") ? COMPRESSION_ZSTD
                                                                                           : COMPRESSION_NONE};
    if (kind->compression != COMPRESSION_NONE)
        bytes = last_ending(name, length - bytes - 1, &ending);
    kind->jsonl = is_one_of(ending, bytes, "jsonl ndjson jsonlines ldjson ");
    kind->open = bytes == 0;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (is_one_of(ending, bytes, endings[i].names))
            return error_set(error, STATUS_USAGE, "%s: by its ending .%.*s it is %s, which is not read as text; %s",
                             name, bytes, ending, kinds[endings[i].kind].what, kinds[endings[i].kind].mend);
    return STATUS_OK;
}

enum compression file_kind_compression(const char *head, int64_t bytes)
{
    const unsigned char *at = (const unsigned char *)head;

    if (bytes >= 3 && memcmp(at, "\x1f\x8b\x08", 3) == 0)
        return COMPRESSION_GZIP;
    /* A frame of data, or one that is to be skipped (RFC 8878). */
    if (bytes >= 4 &&
        (memcmp(at, "\x28\xb5\x2f\xfd", 4) == 0 || (at[0] >> 4 == 5 && memcmp(at + 1, "\x2a\x4d\x18", 3) == 0)))
        return COMPRESSION_ZSTD;
    return COMPRESSION_NONE;
}

static int check_marks(const char *name, const char *head, int64_t bytes, struct error *error)
{
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (bytes >= marks[i].offset + marks[i].count &&
            memcmp(head + marks[i].offset, marks[i].bytes, (size_t)marks[i].count) == 0)
            return error_set(error, STATUS_INPUT, "%s: by its content it is %s (%s), which is not read as text; %s",
                             name, kinds[marks[i].kind].what, marks[i].name, kinds[marks[i].kind].mend);
    return STATUS_OK;
}

static int refuse_wide(const char *name, const char *encoding, const char *sign, struct error *error)
{
    return error_set(error, STATUS_INPUT, "%s: %s it is %s; expected UTF-8: iconv -f %s -t UTF-8", name, sign, encoding,
                     encoding);
}

static int check_order_mark(const char *name, const char *head, int64_t bytes, struct error *error)
{
    static const struct {
        const char *bytes;
        int count;
        const char *encoding;
    } orders[] = {{"\xff\xfe\0\0", 4, "UTF-32"},
                  {"\0\0\xfe\xff", 4, "UTF-32"},
                  {"\xff\xfe", 2, "UTF-16"},
                  {"\xfe\xff", 2, "UTF-16"}};

    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        if (bytes >= orders[i].count && memcmp(head, orders[i].bytes, (size_t)orders[i].count) == 0)
            return refuse_wide(name, orders[i].encoding, "by its byte-order mark", error);
    return STATUS_OK;
}

/* Without a mark: high bytes of UTF-16 stand at every second place and are small in most scripts, 0 in Latin text and
 * for every space; of UTF-32 two of four bytes are always 0 or nearly so. */
static int check_wide(const char *name, const char *head, int64_t bytes, struct error *error)
{
    int64_t zeros[4] = {0}, small[4] = {0}, quarter = bytes / 4;

    for (int64_t i = 0; i < 4 * quarter; i++) {
        zeros[i % 4] += head[i] == 0;
        small[i % 4] += (unsigned char)head[i] < 0x20;
    }
    if (quarter == 0)
        return STATUS_OK;
    if (zeros[3] * 10 >= quarter * 9 && zeros[2] * 10 >= quarter * 9 && zeros[0] * 10 < quarter)
        return refuse_wide(name, "UTF-32LE", "by its many bytes 0", error);
    if (zeros[0] * 10 >= quarter * 9 && zeros[1] * 10 >= quarter * 9 && zeros[3] * 10 < quarter)
        return refuse_wide(name, "UTF-32BE", "by its many bytes 0", error);
    for (int high = 0; high < 2; high++)
        if (zeros[high] + zeros[high + 2] > 0 && (small[high] + small[high + 2]) * 10 >= quarter * 18 &&
            (zeros[1 - high] + zeros[3 - high]) * 2 < quarter)
            return refuse_wide(name, high == 0 ? "UTF-16BE" : "UTF-16LE", "by its many bytes 0", error);
    return STATUS_OK;
}

/* Bytes 0 end documents, so few of them are no sign; what terminals understand is text. */
static bool is_foreign(unsigned char byte)
{
    return byte < 0x20 && byte != 0 && (byte < '\b' || byte > '\r') && byte != 0x1b;
}

static int check_bytes(const char *name, const char *head, int64_t bytes, struct error *error)
{
    struct utf8_count count = {0};
    int64_t controls = 0, zeros = 0;

    utf8_count_add(&count, head, bytes);
    for (int64_t i = 0; i < bytes; i++) {
        controls += is_foreign((unsigned char)head[i]);
        zeros += head[i] == 0;
    }
    if (zeros >= 16 && zeros > bytes / 2)
        return error_set(error, STATUS_INPUT, "%s: it is not text: %lld of its first %lld bytes are 0", name,
                         (long long)zeros, (long long)bytes);
    if (controls >= 4 && controls > bytes / 10)
        return error_set(error, STATUS_INPUT, "%s: it is not text: %lld of its first %lld bytes are control characters",
                         name, (long long)controls, (long long)bytes);
    return utf8_count_check(&count, name, error);
}

int file_kind_check(const char *name, const char *head, int64_t bytes, bool jsonl, struct error *error)
{
    int status = check_order_mark(name, head, bytes, error);

    if (status == STATUS_OK)
        status = check_marks(name, head, bytes, error);
    if (status == STATUS_OK)
        status = check_wide(name, head, bytes, error);
    return status == STATUS_OK && !jsonl ? check_bytes(name, head, bytes, error) : status;
}
