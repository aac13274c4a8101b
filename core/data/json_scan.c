#include "data/json_scan.h"

#include <string.h>

#include "tokenizer/unicode.h"

static bool fail(struct json_scan *scan, const char *at, const char *problem)
{
    scan->at = at;
    scan->problem = problem;
    return false;
}

void json_scan_space(struct json_scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\r' || *scan->at == '\n'))
        scan->at++;
}

bool json_scan_takes(struct json_scan *scan, char mark)
{
    json_scan_space(scan);
    if (scan->at == scan->end || *scan->at != mark)
        return false;
    scan->at++;
    return true;
}

bool json_scan_mark(struct json_scan *scan, char mark)
{
    if (json_scan_takes(scan, mark))
        return true;
    return fail(scan, scan->at,
                mark == '{'   ? "'{' is missing"
                : mark == '}' ? "',' or '}' is missing"
                : mark == ']' ? "',' or ']' is missing"
                              : "':' is missing");
}

/* The number of leading bytes, in steps of 8, that are ASCII and neither control character, quote nor backslash. */
static int64_t plain_bytes(const char *at, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
    const char *from = at;

    for (; end - at >= 8; at += 8) {
        uint64_t word, quote, backslash;

        memcpy(&word, at, sizeof word);
        quote = word ^ ones * '"';
        backslash = word ^ ones * '\\';
        /* A top bit is set for each byte that is 0 (after the xor) or below 0x20, and perhaps for one behind such. */
        if (((word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & tops) != 0)
            break;
    }
    return at - from;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* The four hexadecimal digits at `at`; -1 where they are not there. */
static int32_t hex_code(const char *at, const char *end)
{
    int32_t code = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);

        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

/* The length of the escape at `at`, a backslash; 0 where it is none. */
static int escape_bytes(const char *at, const char *end)
{
    if (end - at < 2)
        return 0;
    if (at[1] == 'u')
        return hex_code(at + 2, end) < 0 ? 0 : 6;
    return at[1] != '\0' && strchr("\"\\/bfnrt", at[1]) != NULL ? 2 : 0;
}

bool json_scan_string(struct json_scan *scan, struct json_raw *raw)
{
    const char *at, *end = scan->end;

    json_scan_space(scan);
    if (scan->at == end || *scan->at != '"')
        return fail(scan, scan->at, "a string is missing");
    at = scan->at + 1;
    *raw = (struct json_raw){at, at, false};
    for (;;) {
        uint32_t code;
        int length = 1;

        at += plain_bytes(at, end);
        if (at == end)
            return fail(scan, at, "the string does not end");
        if (*at == '"')
            break;
        if ((unsigned char)*at < 0x20)
            return fail(scan, at, "a control character in a string; it is to be written as an escape");
        if (*at == '\\') {
            raw->escaped = true;
            length = escape_bytes(at, end);
            if (length == 0)
                return fail(scan, at, "the escape is none of JSON");
        } else if ((unsigned char)*at >= 0x80) {
            length = utf8_read(at, end - at, &code);
            if (length == 1)
                return fail(scan, at, "the byte is not UTF-8");
        }
        at += length;
    }
    raw->end = at;
    scan->at = at + 1;
    return true;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* number = [ - ] int [ . digits ] [ e [ sign ] digits ], int without a 0 before other digits */
static bool scan_number(struct json_scan *scan)
{
    const char *at = scan->at, *end = scan->end, *digits;

    at += *at == '-';
    digits = at;
    at = skip_digits(at, end);
    if (at == digits || (*digits == '0' && at > digits + 1))
        return fail(scan, scan->at, "the number is none of JSON");
    if (at < end && *at == '.') {
        digits = at + 1;
        at = skip_digits(digits, end);
        if (at == digits)
            return fail(scan, scan->at, "the number is none of JSON");
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        digits = at;
        at = skip_digits(digits, end);
        if (at == digits)
            return fail(scan, scan->at, "the number is none of JSON");
    }
    scan->at = at;
    return true;
}

/* A value that holds no others, at `at`. */
static bool scan_scalar(struct json_scan *scan)
{
    static const char *const words[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
    struct json_raw unused;

    if (scan->at == scan->end)
        return fail(scan, scan->at, "a value is missing");
    if (*scan->at == '"')
        return json_scan_string(scan, &unused);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);

        if ((size_t)(scan->end - scan->at) >= length && memcmp(scan->at, words[i], length) == 0) {
            scan->at += length;
            return true;
        }
    }
    if (*scan->at == '-' || (*scan->at >= '0' && *scan->at <= '9'))
        return scan_number(scan);
    return fail(scan, scan->at, "this is no value of JSON");
}

static bool scan_name(struct json_scan *scan)
{
    struct json_raw unused;

    return json_scan_string(scan, &unused) && json_scan_mark(scan, ':');
}

bool json_scan_value(struct json_scan *scan)
{
    uint8_t is_object[JSON_SCAN_DEPTH / 8]; /* a bit for each of those that are open */
    int depth = 0;

    for (;;) {
        bool closes = false;

        json_scan_space(scan);
        if (scan->at < scan->end && (*scan->at == '{' || *scan->at == '[')) {
            bool object = *scan->at == '{';

            if (depth == JSON_SCAN_DEPTH)
                return fail(scan, scan->at, "more than 4096 objects and arrays within each other");
            is_object[depth / 8] = (uint8_t)((depth % 8 == 0 ? 0 : is_object[depth / 8] & ~(1u << depth % 8)) |
                                             (unsigned)object << depth % 8);
            depth++;
            scan->at++;
            closes = json_scan_takes(scan, object ? '}' : ']');
            if (!closes && object && !scan_name(scan))
                return false;
            if (!closes)
                continue;
        } else if (!scan_scalar(scan)) {
            return false;
        }
        /* A value has ended, and perhaps those around it. */
        for (;;) {
            bool object;

            depth -= closes;
            if (depth == 0)
                return true;
            object = is_object[(depth - 1) / 8] >> (depth - 1) % 8 & 1;
            if (json_scan_takes(scan, ',')) {
                if (object && !scan_name(scan))
                    return false;
                break;
            }
            if (!json_scan_mark(scan, object ? '}' : ']'))
                return false;
            closes = true;
        }
    }
}

static char *put_utf8(char *out, int32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *out++ = (char)(0xE0 | code >> 12);
        } else {
            *out++ = (char)(0xF0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        }
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (code & 0x3F));
    return out;
}

/* The value of the escape \uXXXX at `at`, or of two that are a surrogate pair; -1 for half of one. */
static int32_t escaped_code(const char *at, const char *end, int *length)
{
    int32_t code = hex_code(at + 2, end), low;

    *length = 6;
    if (code < 0xD800 || code > 0xDFFF)
        return code;
    if (code > 0xDBFF || end - at < 12 || at[6] != '\\' || at[7] != 'u')
        return -1;
    low = hex_code(at + 8, end);
    *length = 12;
    return low < 0xDC00 || low > 0xDFFF ? -1 : 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

bool json_scan_decode(struct json_raw raw, char *out, int64_t *bytes, const char **wrong)
{
    static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *at = raw.begin;
    char *begin = out;

    while (at < raw.end) {
        const char *escape = memchr(at, '\\', (size_t)(raw.end - at)), *letter;
        int64_t plain = (escape != NULL ? escape : raw.end) - at;
        int length = 2;

        memcpy(out, at, (size_t)plain);
        out += plain;
        at += plain;
        if (escape == NULL)
            break;
        letter = strchr(letters, at[1]);
        if (at[1] == 'u') {
            int32_t code = escaped_code(at, raw.end, &length);

            *wrong = at;
            if (code < 0)
                return false;
            out = put_utf8(out, code);
        } else {
            *out++ = letter != NULL ? values[letter - letters] : at[1];
        }
        at += length;
    }
    *bytes = out - begin;
    return true;
}
