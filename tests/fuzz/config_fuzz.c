/* The config reader: no text may make it crash, hang or leak, and what it accepts is written and read back to the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "config/config.h"
#include "config/document.h"
#include "config/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct config *config)
{
    struct config_inputs inputs = {.file = "written.yaml"};
    struct config again;
    struct error error;
    char *text;

    if (config_to_text(config, false, &text, &error) != STATUS_OK)
        abort();
    inputs.text = text;
    inputs.text_bytes = (int64_t)__builtin_strlen(text);
    if (config_load(&again, &inputs, &error) != STATUS_OK)
        abort();
    for (int key = 0; key < CONFIG_KEYS; key++)
        if (!value_same(config, &again, (enum config_key_id)key))
            abort();
    config_finish(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct config_inputs inputs = {.file = "fuzz.yaml", .text = (const char *)data, .text_bytes = (int64_t)size};
    struct document document;
    struct config config;
    struct error error = {0};

    /* Most texts end here, many times faster than a whole config is made. */
    if (document_parse(&document, "fuzz.yaml", true, inputs.text, inputs.text_bytes, &error) != STATUS_OK) {
        if (error.message[0] == '\0')
            abort();
        return 0;
    }
    document_finish(&document);
    if (config_load(&config, &inputs, &error) == STATUS_OK) {
        check_round_trip(&config);
        config_finish(&config);
    } else if (error.message[0] == '\0') {
        abort();
    }
    return 0;
}
