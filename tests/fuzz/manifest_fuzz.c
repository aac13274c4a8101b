/* manifest.json from any bytes. What is read can be printed, and reads back as the same.
 *
 * Input: a byte for the mode, then the text. In odd modes the right checksum is put before it, which stands for the
 * text's first two bytes. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/manifest.h"
#include "checkpoint/manifest_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_and_print(const char *text, int64_t bytes)
{
    struct manifest manifest, back;
    struct error error;
    char *printed, *again;
    int64_t printed_bytes, again_bytes;

    if (manifest_parse(text, bytes, "fuzz", &manifest, &error) != STATUS_OK)
        return;
    if (manifest_print(&manifest, &printed, &printed_bytes, &error) != STATUS_OK ||
        manifest_parse(printed, printed_bytes, "printed", &back, &error) != STATUS_OK ||
        manifest_print(&back, &again, &again_bytes, &error) != STATUS_OK || printed_bytes != again_bytes ||
        memcmp(printed, again, (size_t)printed_bytes) != 0)
        abort();
    free(printed);
    free(again);
    manifest_finish(&manifest);
    manifest_finish(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error;
    char *body, *text;
    int64_t bytes;

    if (size == 0)
        return 0;
    if (data[0] % 2 == 0) {
        read_and_print((const char *)data + 1, (int64_t)size - 1);
        return 0;
    }
    body = malloc(size + 2);
    memcpy(body, "{\n", 2);
    memcpy(body + 2, data + 1, size - 1);
    body[size + 1] = '\0';
    if (manifest_seal(body, &text, &bytes, &error) == STATUS_OK) {
        read_and_print(text, bytes);
        free(text);
    }
    free(body);
    return 0;
}
