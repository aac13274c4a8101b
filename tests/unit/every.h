/* Long series of cases under sanitizers: there a case takes tens of times as long, so only every n-th runs; the other
 * builds run all of them. */
#ifndef LLMRUN_TEST_EVERY_H
#define LLMRUN_TEST_EVERY_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EVERY(n) (n)
#else
#define EVERY(n) 1
#endif

#endif
