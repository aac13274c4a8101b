#include "dist/admission.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "dist/sockets.h"

#define HANDSHAKE_NS INT64_C(5000000000)
#define LOG_EVERY_NS INT64_C(10000000000)
#define REST_NS      INT64_C(100000000)

void admission_init(struct admission *admission, int listener, const uint8_t key[SHA256_BYTES])
{
    memset(admission, 0, sizeof *admission);
    admission->listener = listener;
    memcpy(admission->key, key, sizeof admission->key);
    for (int i = 0; i < ADMISSION_SLOTS; i++)
        admission->slots[i].socket = -1;
}

void admission_finish(struct admission *admission)
{
    for (int i = 0; i < ADMISSION_SLOTS; i++)
        if (admission->slots[i].socket >= 0)
            close(admission->slots[i].socket);
    if (admission->listener >= 0)
        close(admission->listener);
    for (int i = 0; i < ADMISSION_SLOTS; i++)
        admission->slots[i].socket = -1;
    admission->listener = -1;
}

int admission_waits(const struct admission *admission, int64_t now_ns, struct pollfd *waits)
{
    int count = 0;

    if (admission->listener >= 0 && now_ns >= admission->rest_until_ns)
        waits[count++] = (struct pollfd){.fd = admission->listener, .events = POLLIN};
    for (int i = 0; i < ADMISSION_SLOTS; i++)
        if (admission->slots[i].socket >= 0)
            waits[count++] = (struct pollfd){.fd = admission->slots[i].socket, .events = POLLIN};
    return count;
}

static void refuse(struct admission *admission, struct handshake *slot, int64_t now_ns, const char *why)
{
    close(slot->socket);
    slot->socket = -1;
    admission->refused++;
    if (admission->logged_ns != 0 && now_ns - admission->logged_ns < LOG_EVERY_NS)
        return;
    log_line(LOG_WARNING, "control channel: refused %lld connection%s, the last because %s",
             (long long)admission->refused, admission->refused == 1 ? "" : "s", why);
    admission->logged_ns = now_ns;
    admission->refused = 0;
}

static bool serve(struct admission *admission, struct handshake *slot, int64_t now_ns, struct connection *connection,
                  int32_t *rank, int32_t *world)
{
    switch (handshake_step(slot, admission->key, connection, rank, world)) {
    case HANDSHAKE_GOOD:
        slot->socket = -1;
        return true;
    case HANDSHAKE_FOREIGN:
        refuse(admission, slot, now_ns, "it does not speak this protocol");
        return false;
    case HANDSHAKE_UNPROVED:
        refuse(admission, slot, now_ns, "it does not know the secret of this job (LLMRUN_SECRET)");
        return false;
    case HANDSHAKE_CLOSED:
        refuse(admission, slot, now_ns, "it was closed before it proved to know the secret");
        return false;
    case HANDSHAKE_WAITS:
        break;
    }
    if (now_ns - slot->began_ns > HANDSHAKE_NS)
        refuse(admission, slot, now_ns, "it said nothing for 5 s");
    return false;
}

/* A free slot, else that of who came first. */
static struct handshake *take_slot(struct admission *admission, int64_t now_ns)
{
    struct handshake *oldest = &admission->slots[0];

    for (int i = 0; i < ADMISSION_SLOTS; i++) {
        if (admission->slots[i].socket < 0)
            return &admission->slots[i];
        if (admission->slots[i].began_ns < oldest->began_ns)
            oldest = &admission->slots[i];
    }
    refuse(admission, oldest, now_ns, "too many came at once");
    return oldest;
}

static void accept_some(struct admission *admission, int64_t now_ns)
{
    for (int i = 0; i < ADMISSION_SLOTS / 2 && admission->listener >= 0; i++) {
        const int accepted = socket_accept(admission->listener);

        if (accepted >= 0) {
            *take_slot(admission, now_ns) = (struct handshake){.socket = accepted, .began_ns = now_ns};
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            admission->rest_until_ns = now_ns + REST_NS;
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        }
    }
}

bool admission_step(struct admission *admission, int64_t now_ns, struct connection *connection, int32_t *rank,
                    int32_t *world)
{
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < ADMISSION_SLOTS; i++)
            if (admission->slots[i].socket >= 0 &&
                serve(admission, &admission->slots[i], now_ns, connection, rank, world))
                return true;
        if (pass == 0 && now_ns >= admission->rest_until_ns)
            accept_some(admission, now_ns);
    }
    return false;
}
