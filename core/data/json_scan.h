/* Walks over JSON values without making anything of them: what stands in the fields that nobody reads costs no memory
 * and has no bounds of its own, whatever its numbers, names and escapes are. The grammar is that of RFC 8259, strictly,
 * with NaN, Infinity and -Infinity as values, which Python's json.dumps writes. */
#ifndef LLMRUN_DATA_JSON_SCAN_H
#define LLMRUN_DATA_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#define JSON_SCAN_DEPTH 4096 /* objects and arrays within each other */

struct json_scan {
    const char *begin, *end; /* the text */
    const char *at;          /* what was not looked at yet; after a failure the place that is wrong */
    const char *problem;     /* what is wrong there; NULL before a failure */
};

/* A string as it stands in the text, without its quotes. */
struct json_raw {
    const char *begin, *end;
    bool escaped; /* it holds a backslash; where it does not, it is its own value */
};

void json_scan_space(struct json_scan *scan);

/* Each skips space before what it takes, and is false where that is not there or is wrong. */
bool json_scan_mark(struct json_scan *scan, char mark);
bool json_scan_string(struct json_scan *scan, struct json_raw *raw);
bool json_scan_value(struct json_scan *scan);

/* True where `mark` comes next; takes it. No failure. */
bool json_scan_takes(struct json_scan *scan, char mark);

/* Writes the value of a string that json_scan_string has found, at most raw.end - raw.begin bytes, and its length.
 * Half a surrogate pair has none: then false, and *wrong is the escape that is one. */
bool json_scan_decode(struct json_raw raw, char *out, int64_t *bytes, const char **wrong);

#endif
