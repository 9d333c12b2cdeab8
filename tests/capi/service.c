/* A recorded key that a service holds: what it signs, what is refused, and what a fork, another working directory and a service
 * that closes its connections do.
 *
 *     service PLACE QUERY SCHEME PUBLIC_KEY EPOCH MESSAGE SIGNATURE
 *
 * The service listens at PLACE/socket. QUERY is the end of the address, from its question mark.
 */

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static keymill_scheme_facts sizes;
static unsigned char *public_key, *signature;

static void signs(keymill_key key, uint64_t epoch, const unsigned char *message) {
    CHECK(keymill_sign(key, epoch, message, 32, signature, sizes.signature_bytes) == KEYMILL_STATUS_DONE);
    CHECK(keymill_verify(sizes.id, public_key, sizes.public_key_bytes, epoch, message, 32, signature, sizes.signature_bytes) ==
          KEYMILL_STATUS_DONE);
}

/* The ledger is the service's, and no connection is shared: each process goes on with the key. */
static void a_forked_child_signs_beside_its_parent(keymill_key key, uint64_t epoch, unsigned char *message) {
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (uint64_t more = 1; more < 4; more++) signs(key, (epoch + more) % 256, message);
        CHECK(keymill_close(key) == KEYMILL_STATUS_DONE);
        _exit(0);
    }
    for (uint64_t more = 4; more < 7; more++) signs(key, (epoch + more) % 256, message);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    message[0] ^= 1;
    REFUSED(keymill_sign(key, (epoch + 1) % 256, message, 32, signature, sizes.signature_bytes), KEYMILL_STATUS_NO,
            "signed another message");
    message[0] ^= 1;
}

/* To write into such a connection is SIGPIPE, which ends a process that does not know of it. */
static void a_service_that_closes_its_connections_ends_nobody(const char *place, const char *query) {
    enum { ROUNDS = 100 };
    char address[4096];
    struct sockaddr_un name;
    int status, listener = socket(AF_UNIX, SOCK_STREAM, 0);
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    CHECK(listener >= 0);
    CHECK((size_t)snprintf(name.sun_path, sizeof name.sun_path, "%s/closing", place) < sizeof name.sun_path);
    unlink(name.sun_path);
    CHECK(bind(listener, (struct sockaddr *)&name, sizeof name) == 0);
    CHECK(listen(listener, 8) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int round = 0; round < ROUNDS; round++) close(accept(listener, NULL, NULL));
        _exit(0);
    }
    close(listener);
    /* In so short a time, nothing is asked for twice. */
    snprintf(address, sizeof address, "unix:%s/closing%s&timeout-ms=900", place, query);
    for (int round = 0; round < ROUNDS; round++) {
        keymill_key key;
        REFUSED(keymill_open_to_sign(address, &key), KEYMILL_STATUS_MACHINE, "before it had answered");
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

int main(int count, char **words) {
    CHECK(count == 8);
    const char *place = words[1], *query = words[2];
    CHECK(keymill_describe_scheme(words[3], &sizes) == KEYMILL_STATUS_DONE);
    public_key = from_hex(words[4], sizes.public_key_bytes);
    signature = room(sizes.signature_bytes);
    uint64_t epoch = strtoull(words[5], NULL, 10);
    unsigned char *message = from_hex(words[6], sizes.message_bytes);
    unsigned char *recorded = from_hex(words[7], sizes.signature_bytes);

    /* A relative path stays the one that it was. */
    char address[4096];
    snprintf(address, sizeof address, "unix:socket%s", query);
    keymill_key key, reader;
    CHECK(chdir(place) == 0);
    CHECK(keymill_open_to_sign(address, &key) == KEYMILL_STATUS_DONE);
    CHECK(chdir("/") == 0);
    snprintf(address, sizeof address, "unix:%s/socket%s", place, query);
    CHECK(keymill_open(address, &reader) == KEYMILL_STATUS_DONE);

    keymill_key_facts facts;
    CHECK(keymill_describe_key(key, &facts) == KEYMILL_STATUS_DONE);
    CHECK(facts.first_epoch == 0 && facts.epochs == 256);
    CHECK(strcmp(facts.scheme.id, words[3]) == 0);
    unsigned char *own_public_key = room(sizes.public_key_bytes);
    CHECK(keymill_public_key(key, own_public_key, sizes.public_key_bytes) == KEYMILL_STATUS_DONE);
    CHECK(memcmp(own_public_key, public_key, sizes.public_key_bytes) == 0);

    for (int round = 0; round < 2; round++) {
        memset(signature, 0, sizes.signature_bytes);
        signs(key, epoch, message);
        CHECK(memcmp(signature, recorded, sizes.signature_bytes) == 0);
    }
    message[0] ^= 1;
    REFUSED(keymill_sign(key, epoch, message, 32, signature, sizes.signature_bytes), KEYMILL_STATUS_NO, "signed another message");
    message[0] ^= 1;
    CHECK(memcmp(signature, recorded, sizes.signature_bytes) == 0);
    REFUSED(keymill_sign(key, 256, message, 32, signature, sizes.signature_bytes), KEYMILL_STATUS_USAGE,
            "epoch 256 is outside");
    REFUSED(keymill_sign(reader, epoch, message, 32, signature, sizes.signature_bytes), KEYMILL_STATUS_USAGE,
            "opened for reading");

    /* The siblings stand in the signature as they stand in the path, as tests/capi/life.c says. */
    unsigned char *leaf = room(sizes.digest_bytes), *siblings = room(sizes.siblings_bytes);
    CHECK(keymill_path(reader, epoch, leaf, sizes.digest_bytes, siblings, sizes.siblings_bytes) == KEYMILL_STATUS_DONE);
    uint32_t path_offset = 0;
    for (int at = 3; at >= 0; at--) path_offset = path_offset << 8 | recorded[at];
    CHECK(memcmp(recorded + path_offset + 4, siblings, sizes.siblings_bytes) == 0);

    a_forked_child_signs_beside_its_parent(key, epoch, message);
    a_service_that_closes_its_connections_ends_nobody(place, query);
    REFUSED(keymill_open_to_sign("unix:socket", &reader), KEYMILL_STATUS_USAGE, "does not name a public key");

    CHECK(keymill_close(key) == KEYMILL_STATUS_DONE);
    CHECK(keymill_close(reader) == KEYMILL_STATUS_DONE);
    unsigned char *memory[] = {public_key, message, recorded, signature, own_public_key, leaf, siblings};
    for (size_t at = 0; at < sizeof memory / sizeof *memory; at++) free(memory[at]);
    return 0;
}
