/* How far a mistyped word is from the word that was meant. */
#ifndef LLMRUN_BASE_EDIT_DISTANCE_H
#define LLMRUN_BASE_EDIT_DISTANCE_H

/* Fewest insertions, deletions, replacements and swaps of neighbours that turn one word into the other, each place
 * edited at most once ("optimal string alignment"). Words over 64 bytes: their difference in length, at least 64. */
int edit_distance(const char *a, const char *b);

/* True when `distance` edits of a word are few enough to be a typing mistake: up to a third of its letters, one in a
 * short word, and never all of them. */
int edit_distance_is_typo(const char *word, int distance);

#endif
