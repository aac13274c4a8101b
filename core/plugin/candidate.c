#include "plugin/candidate.h"

#include <stdio.h>
#include <string.h>

const char *candidate_state_name(enum candidate_state state)
{
    static const char *const names[] = {"usable", "loaded", "refused", "shadowed"};

    return names[state];
}

void candidate_refuse(struct candidate *candidate, const struct error *error)
{
    candidate->state = CANDIDATE_REFUSED;
    snprintf(candidate->reason, sizeof candidate->reason, "%s", error->message);
}

const struct candidate *candidate_shadow(const struct candidate *items, const struct candidate *candidate)
{
    for (const struct candidate *other = items; other < candidate; other++)
        if (other->note.kind == candidate->note.kind && strcmp(other->note.name, candidate->note.name) == 0 &&
            other->state != CANDIDATE_SHADOWED && (other->state != CANDIDATE_REFUSED || other->named))
            return other;
    return NULL;
}

void candidates_unshadow(struct candidate *items, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        struct candidate *candidate = &items[i];

        if (candidate->state == CANDIDATE_SHADOWED && candidate_shadow(items, candidate) == NULL) {
            candidate->state = CANDIDATE_USABLE;
            candidate->reason[0] = '\0';
        }
    }
}
