/* A host that changes its directory, and one whose key is moved and replaced by another of the same name.
 *
 *     places DIR OTHER PUBLIC_KEY
 *
 * DIR and OTHER each have a key directory called "key". PUBLIC_KEY is that of DIR/key. OTHER/key has to be as it was afterwards.
 */

#include <unistd.h>

#include "check.h"

enum { FIRST_EPOCH = 40 };

static keymill_key key;
static keymill_key_facts facts;
static unsigned char *public_key, *signature;
static const unsigned char message[32] = {2};

static void signs(uint64_t epoch) {
    size_t bytes = facts.scheme.signature_bytes;
    CHECK(keymill_sign(key, epoch, message, 32, signature, bytes) == KEYMILL_STATUS_DONE);
    CHECK(keymill_verify(facts.scheme.id, public_key, facts.scheme.public_key_bytes, epoch, message, 32, signature, bytes) ==
          KEYMILL_STATUS_DONE);
}

int main(int count, char **words) {
    CHECK(count == 4);
    const char *directory = words[1], *other = words[2];
    CHECK(chdir(directory) == 0);
    CHECK(keymill_open_to_sign("key", &key) == KEYMILL_STATUS_DONE);
    CHECK(keymill_describe_key(key, &facts) == KEYMILL_STATUS_DONE);
    public_key = from_hex(words[3], facts.scheme.public_key_bytes);
    signature = room(facts.scheme.signature_bytes);
    signs(FIRST_EPOCH);
    CHECK(chdir(other) == 0);
    signs(FIRST_EPOCH + 1);
    CHECK(chdir("/") == 0);
    signs(FIRST_EPOCH + 2);

    /* The other key gets the name of the one that is open, and gives it back. */
    CHECK(chdir(directory) == 0);
    CHECK(rename("key", "moved") == 0);
    char others[4096];
    snprintf(others, sizeof others, "%s/key", other);
    CHECK(rename(others, "key") == 0);
    REFUSED(keymill_sign(key, FIRST_EPOCH + 3, message, 32, signature, facts.scheme.signature_bytes), KEYMILL_STATUS_MACHINE,
            "was moved or replaced");
    CHECK(rename("key", others) == 0);
    CHECK(rename("moved", "key") == 0);
    signs(FIRST_EPOCH + 3);
    CHECK(keymill_close(key) == KEYMILL_STATUS_DONE);
    free(public_key);
    free(signature);
    return 0;
}
