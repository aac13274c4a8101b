/* Characters as the tokenizers library sees them: the table in unicode_table.c was made by asking it
 * (tools/make_unicode_table.py), so that its Unicode versions are ours. */
#ifndef LLMRUN_TOKENIZER_UNICODE_H
#define LLMRUN_TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

enum unicode_class {
    UNICODE_OTHER,
    UNICODE_LETTER, /* \p{L} */
    UNICODE_NUMBER, /* \p{N} */
    UNICODE_SPACE   /* \s */
};

/* Three stages: blocks of 512 characters, of words of 16 characters, 4 bits each, lowest bits first; equal blocks and
 * equal words are stored once. Bits 0 and 1 are the class, bit 2 is set for a part of a word, bit 3 for what normal
 * form C may change or join to what stands before. */
extern const uint8_t unicode_block_of[];
extern const uint16_t unicode_word_of[];
extern const uint64_t unicode_words[];

/* code < 0x110000 */
static inline unsigned unicode_bits_of(uint32_t code)
{
    uint64_t word = unicode_words[unicode_word_of[unicode_block_of[code >> 9] * 32 + (code >> 4 & 31)]];

    return (unsigned)(word >> (code & 15) * 4 & 15);
}

static inline enum unicode_class unicode_class_of(uint32_t code)
{
    return (enum unicode_class)(unicode_bits_of(code) & 3);
}

/* A letter, mark, digit, connector or joiner: what the regular expression \w finds. */
static inline bool unicode_is_word(uint32_t code)
{
    return (unicode_bits_of(code) & 4) != 0;
}

/* False: the character is in normal form C and begins a stretch that is normalized apart from what stands before. */
static inline bool unicode_composes(uint32_t code)
{
    return (unicode_bits_of(code) & 8) != 0;
}

/* Reads the character at text[0], bytes > 0, and returns its length. What is not UTF-8 (a lone byte, an overlong form,
 * a surrogate, a number above 0x10FFFF) is read as one byte with *code = 0xFFFD. */
static inline int utf8_read(const char *text, int64_t bytes, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *byte = (const unsigned char *)text;
    int length = byte[0] < 0x80 ? 1 : byte[0] >= 0xF0 ? 4 : byte[0] >= 0xE0 ? 3 : 2;
    uint32_t value = length == 1 ? byte[0] : byte[0] & (0x7Fu >> length);
    int index;

    *code = value;
    if (length == 1)
        return 1;
    *code = 0xFFFD;
    if (byte[0] < 0xC2 || byte[0] > 0xF4 || length > bytes)
        return 1;
    for (index = 1; index < length; index++) {
        if ((byte[index] & 0xC0) != 0x80)
            return 1;
        value = value << 6 | (byte[index] & 0x3F);
    }
    if (value < least[length] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 1;
    *code = value;
    return length;
}

#endif
