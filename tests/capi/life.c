/* A recorded key, from its directory to signatures that were recorded too, and what is refused on the way.
 *
 *     life DIR SCHEME PUBLIC_KEY EPOCH MESSAGE SIGNATURE
 */

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void sizes_are_known_before_anything_is_open(const char *scheme, struct keymill_scheme_facts *facts) {
    CHECK(keymill_describe_scheme(scheme, facts) == KEYMILL_STATUS_DONE);
    CHECK(strcmp(facts->id, scheme) == 0);
    CHECK(facts->message_bytes == 32);
    REFUSED(keymill_describe_scheme("rsa", facts), KEYMILL_STATUS_USAGE, "unknown scheme 'rsa'");
    REFUSED(keymill_describe_scheme(NULL, facts), KEYMILL_STATUS_USAGE, "null");
    REFUSED(keymill_describe_scheme(scheme, NULL), KEYMILL_STATUS_USAGE, "null");
}

static void a_key_that_is_not_open_is_refused(const char *directory) {
    keymill_key never = {0};
    keymill_key_facts facts;
    REFUSED(keymill_close(never), KEYMILL_STATUS_USAGE, "never opened");
    keymill_key key;
    CHECK(keymill_open(directory, &key) == KEYMILL_STATUS_DONE);
    CHECK(strcmp(keymill_last_error(), "") == 0);
    CHECK(keymill_close(key) == KEYMILL_STATUS_DONE);
    REFUSED(keymill_close(key), KEYMILL_STATUS_USAGE, "is not open");
    REFUSED(keymill_describe_key(key, &facts), KEYMILL_STATUS_USAGE, "is not open");
    REFUSED(keymill_open("/nonexistent", &key), KEYMILL_STATUS_DIRECTORY, "no key directory");
    REFUSED(keymill_open("\xff", &key), KEYMILL_STATUS_USAGE, "not UTF-8");
    REFUSED(keymill_open(NULL, &key), KEYMILL_STATUS_USAGE, "null");
    REFUSED(keymill_open(directory, NULL), KEYMILL_STATUS_USAGE, "null");
}

/* It would not know what its parent signs, and it closes nothing that its parent goes on with, or has closed before. */
static keymill_key a_forked_child_signs_nothing_and_harms_nothing(const char *directory, keymill_key signer, uint64_t epoch,
                                                                  const unsigned char *message, size_t bytes) {
    unsigned char *signature = room(bytes);
    CHECK(keymill_sign(signer, (epoch + 1) % 256, message, 32, signature, bytes) == KEYMILL_STATUS_DONE);
    for (int parent_closes_first = 0; parent_closes_first < 2; parent_closes_first++) {
        int parent_signs[2], status;
        char end;
        CHECK(pipe(parent_signs) == 0);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            close(parent_signs[1]);
            REFUSED(keymill_sign(signer, epoch, message, 32, signature, bytes), KEYMILL_STATUS_USAGE,
                    "open the key after the fork");
            CHECK(read(parent_signs[0], &end, 1) == 0);
            REFUSED(keymill_sign(signer, epoch, message, 32, signature, bytes), KEYMILL_STATUS_USAGE,
                    "open the key after the fork");
            CHECK(keymill_close(signer) == KEYMILL_STATUS_DONE);
            _exit(0);
        }
        close(parent_signs[0]);
        CHECK(keymill_sign(signer, (epoch + 2) % 256, message, 32, signature, bytes) == KEYMILL_STATUS_DONE);
        if (parent_closes_first) CHECK(keymill_close(signer) == KEYMILL_STATUS_DONE);
        close(parent_signs[1]);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        if (parent_closes_first) CHECK(keymill_open_to_sign(directory, &signer) == KEYMILL_STATUS_DONE);
        CHECK(keymill_sign(signer, (epoch + 3) % 256, message, 32, signature, bytes) == KEYMILL_STATUS_DONE);
    }
    free(signature);
    return signer;
}

int main(int count, char **words) {
    CHECK(count == 7);
    const char *directory = words[1], *scheme = words[2];
    CHECK(strcmp(keymill_version(), VERSION) == 0);
    keymill_scheme_facts sizes;
    sizes_are_known_before_anything_is_open(scheme, &sizes);
    a_key_that_is_not_open_is_refused(directory);

    unsigned char *public_key = from_hex(words[3], sizes.public_key_bytes);
    uint64_t epoch = strtoull(words[4], NULL, 10);
    unsigned char *message = from_hex(words[5], sizes.message_bytes);
    unsigned char *recorded = from_hex(words[6], sizes.signature_bytes);
    unsigned char *signature = room(sizes.signature_bytes);

    keymill_key reader, signer;
    CHECK(keymill_open(directory, &reader) == KEYMILL_STATUS_DONE);
    CHECK(keymill_open_to_sign(directory, &signer) == KEYMILL_STATUS_DONE);
    CHECK(reader.id != signer.id);
    keymill_key second;
    REFUSED(keymill_open_to_sign(directory, &second), KEYMILL_STATUS_DIRECTORY, "only one process");

    keymill_key_facts facts;
    CHECK(keymill_describe_key(signer, &facts) == KEYMILL_STATUS_DONE);
    CHECK(facts.first_epoch == 0 && facts.epochs == 256);
    CHECK(strcmp(facts.scheme.id, scheme) == 0);
    CHECK(facts.scheme.signature_bytes == sizes.signature_bytes);

    unsigned char *own_public_key = room(sizes.public_key_bytes);
    CHECK(keymill_public_key(reader, own_public_key, sizes.public_key_bytes) == KEYMILL_STATUS_DONE);
    CHECK(memcmp(own_public_key, public_key, sizes.public_key_bytes) == 0);
    REFUSED(keymill_public_key(reader, own_public_key, 1), KEYMILL_STATUS_USAGE, "it has to have 52");

    /* Nothing of this spends the epoch. */
    REFUSED(keymill_sign(reader, epoch, message, 32, signature, sizes.signature_bytes), KEYMILL_STATUS_USAGE,
            "opened for reading");
    REFUSED(keymill_sign(signer, epoch, message, 31, signature, sizes.signature_bytes), KEYMILL_STATUS_USAGE, "31");
    REFUSED(keymill_sign(signer, epoch, NULL, 32, signature, sizes.signature_bytes), KEYMILL_STATUS_USAGE, "null");
    REFUSED(keymill_sign(signer, epoch, message, 32, signature, 1), KEYMILL_STATUS_USAGE, "has 1 bytes");
    REFUSED(keymill_sign(signer, 256, message, 32, signature, sizes.signature_bytes), KEYMILL_STATUS_USAGE,
            "epoch 256 is outside");

    signer = a_forked_child_signs_nothing_and_harms_nothing(directory, signer, epoch, message, sizes.signature_bytes);

    /* Twice the same message gives the same signature, which is the recorded one; another message none. */
    for (int round = 0; round < 2; round++) {
        memset(signature, 0, sizes.signature_bytes);
        CHECK(keymill_sign(signer, epoch, message, 32, signature, sizes.signature_bytes) == KEYMILL_STATUS_DONE);
        CHECK(memcmp(signature, recorded, sizes.signature_bytes) == 0);
    }
    message[0] ^= 1;
    REFUSED(keymill_sign(signer, epoch, message, 32, signature, sizes.signature_bytes), KEYMILL_STATUS_NO, "already signed");
    CHECK(memcmp(signature, recorded, sizes.signature_bytes) == 0);
    REFUSED(keymill_verify(scheme, public_key, sizes.public_key_bytes, epoch, message, 32, signature,
                           sizes.signature_bytes),
            KEYMILL_STATUS_NO, "");
    message[0] ^= 1;
    CHECK(keymill_verify(scheme, public_key, sizes.public_key_bytes, epoch, message, 32, signature,
                         sizes.signature_bytes) == KEYMILL_STATUS_DONE);
    REFUSED(keymill_verify(scheme, public_key, sizes.public_key_bytes, epoch, message, 32, signature, 1),
            KEYMILL_STATUS_NO, "malformed");
    REFUSED(keymill_verify(scheme, public_key, 1, epoch, message, 32, signature, sizes.signature_bytes),
            KEYMILL_STATUS_USAGE, "the public key is not valid");

    /* The siblings stand in the signature as they stand in the path: behind two offsets, rho and the path's own offset. */
    unsigned char *leaf = room(sizes.digest_bytes), *siblings = room(sizes.siblings_bytes);
    CHECK(keymill_path(reader, epoch, leaf, sizes.digest_bytes, siblings, sizes.siblings_bytes) == KEYMILL_STATUS_DONE);
    uint32_t path_offset = 0;
    for (int at = 3; at >= 0; at--) path_offset = path_offset << 8 | signature[at];
    CHECK(memcmp(signature + path_offset + 4, siblings, sizes.siblings_bytes) == 0);
    REFUSED(keymill_path(reader, 256, leaf, sizes.digest_bytes, siblings, sizes.siblings_bytes), KEYMILL_STATUS_USAGE,
            "epoch 256 is outside");

    CHECK(keymill_close(signer) == KEYMILL_STATUS_DONE);
    CHECK(keymill_open_to_sign(directory, &second) == KEYMILL_STATUS_DONE);
    message[0] ^= 1;
    for (uint64_t spent = 0; spent < 4; spent++)
        REFUSED(keymill_sign(second, (epoch + spent) % 256, message, 32, signature, sizes.signature_bytes), KEYMILL_STATUS_NO,
                "already signed");
    CHECK(keymill_close(second) == KEYMILL_STATUS_DONE);
    CHECK(keymill_close(reader) == KEYMILL_STATUS_DONE);
    unsigned char *memory[] = {public_key, message, recorded, signature, own_public_key, leaf, siblings};
    for (size_t at = 0; at < sizeof memory / sizeof *memory; at++) free(memory[at]);
    return 0;
}
