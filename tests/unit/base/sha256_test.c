/* SHA-256 against the examples of FIPS 180-4 and the NIST test vectors, HMAC against RFC 4231. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"

static void check_digest(const uint8_t digest[SHA256_BYTES], const char *wanted)
{
    char text[2 * SHA256_BYTES + 1];

    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, wanted);
}

static void check_hash(const void *data, size_t bytes, const char *wanted)
{
    uint8_t digest[SHA256_BYTES];
    struct sha256 hash;

    sha256_init(&hash);
    sha256_add(&hash, data, bytes);
    sha256_finish(&hash, digest);
    check_digest(digest, wanted);
}

static void the_examples_of_nist_have_their_digests(void **state)
{
    static const uint8_t four[] = {0xc9, 0x8c, 0x8e, 0x55};

    (void)state;
    check_hash("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_hash("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_hash(
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstn"
        "opqrstu",
        112, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    check_hash(four, 4, "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504");
}

/* SHA256ShortMsg and the additional examples: lengths about the block and the padding. */
static void lengths_about_a_block_are_padded_as_nist_has_them(void **state)
{
    static const struct {
        size_t bytes;
        const char *digest;
    } zeros[] = {{55, "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7"},
                 {56, "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb"},
                 {57, "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785"},
                 {64, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"},
                 {1000, "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53"},
                 {1000000, "d29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025"}};
    void *memory = calloc(1, 1000000);

    (void)state;
    assert_non_null(memory);
    for (size_t i = 0; i < sizeof zeros / sizeof zeros[0]; i++)
        check_hash(memory, zeros[i].bytes, zeros[i].digest);
    free(memory);
}

static void a_million_times_a_has_its_digest_however_it_is_cut(void **state)
{
    static const size_t cuts[] = {1, 63, 64, 65, 1000};
    char piece[1000];

    (void)state;
    memset(piece, 'a', sizeof piece);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        uint8_t digest[SHA256_BYTES];
        struct sha256 hash;

        sha256_init(&hash);
        for (size_t done = 0; done < 1000000; done += cuts[i])
            sha256_add(&hash, piece, cuts[i] < 1000000 - done ? cuts[i] : 1000000 - done);
        sha256_finish(&hash, digest);
        check_digest(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

static void check_tag(const char *key, size_t key_bytes, const char *data, size_t bytes, const char *wanted)
{
    uint8_t tag[SHA256_BYTES];
    struct hmac hmac;

    hmac_init(&hmac, key, key_bytes);
    hmac_add(&hmac, data, bytes);
    hmac_finish(&hmac, tag);
    check_digest(tag, wanted);
}

static void the_cases_of_rfc_4231_have_their_tags(void **state)
{
    static const char large[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    static const char both[] =
        "This is a test using a larger than block-size key and a larger than block-size data. The "
        "key needs to be hashed before being used by the HMAC algorithm.";
    char key[131], data[50];

    (void)state;
    memset(key, 0x0b, 20);
    check_tag(key, 20, "Hi There", 8, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check_tag("Jefe", 4, "what do ya want for nothing?", 28,
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 20);
    memset(data, 0xdd, 50);
    check_tag(key, 20, data, 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    for (int i = 0; i < 25; i++)
        key[i] = (char)(i + 1);
    memset(data, 0xcd, 50);
    check_tag(key, 25, data, 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    memset(key, 0xaa, 131);
    check_tag(key, 131, large, strlen(large), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    check_tag(key, 131, both, strlen(both), "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void one_different_bit_makes_tags_unequal(void **state)
{
    uint8_t a[SHA256_BYTES] = {0}, b[SHA256_BYTES] = {0};

    (void)state;
    assert_true(sha256_equal(a, b));
    for (int bit = 0; bit < 8 * SHA256_BYTES; bit++) {
        b[bit / 8] = (uint8_t)(1u << bit % 8);
        assert_false(sha256_equal(a, b));
        b[bit / 8] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_nist_have_their_digests),
        cmocka_unit_test(lengths_about_a_block_are_padded_as_nist_has_them),
        cmocka_unit_test(a_million_times_a_has_its_digest_however_it_is_cut),
        cmocka_unit_test(the_cases_of_rfc_4231_have_their_tags),
        cmocka_unit_test(one_different_bit_makes_tags_unequal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
