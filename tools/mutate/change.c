#include "change.h"

#include <stdio.h>
#include <string.h>

/* The binary operators: what each becomes, and how tightly it binds. Assignments bind least. */
static const struct {
    const char *mark, *other;
    int precedence;
} operators[] = {
    {"*", "/", 10},  {"/", "*", 10},    {"%", "*", 10},    {"+", "-", 9},   {"-", "+", 9},   {"<<", ">>", 8},
    {">>", "<<", 8}, {"<", "<=", 7},    {"<=", "<", 7},    {">", ">=", 7},  {">=", ">", 7},  {"==", "!=", 6},
    {"!=", "==", 6}, {"&", "|", 5},     {"^", "|", 4},     {"|", "&", 3},   {"&&", "||", 2}, {"||", "&&", 1},
    {"+=", "-=", 0}, {"-=", "+=", 0},   {"*=", "+=", 0},   {"/=", "*=", 0}, {"|=", "&=", 0}, {"&=", "|=", 0},
    {"^=", "|=", 0}, {"<<=", ">>=", 0}, {">>=", "<<=", 0}, {"=", NULL, 0},  {"%=", NULL, 0},
};

static int operator_row(const struct source *s, int i)
{
    for (size_t row = 0; row < sizeof operators / sizeof operators[0]; row++)
        if (token_is(s, i, operators[row].mark))
            return (int)row;
    return -1;
}

/* Whether `)` at `i` ends a cast. */
static bool ends_cast(const struct source *s, int i)
{
    int j = s->tokens[i].partner;

    if (j < 0 || token_is(s, j - 1, "sizeof") || !token_is_type(s, j + 1))
        return false;
    for (j++; j < i; j++)
        if (s->tokens[j].kind != NAME && !token_is(s, j, "*"))
            return false;
    return true;
}

static int binary_row(const struct source *s, int i)
{
    int row = operator_row(s, i);
    const struct token *before = &s->tokens[i - 1];

    if (row < 0 || i == 0)
        return -1;
    if (before->kind == MARK && !token_is(s, i - 1, "]") && !(token_is(s, i - 1, ")") && !ends_cast(s, i - 1)) &&
        !token_is(s, i - 1, "++") && !token_is(s, i - 1, "--"))
        return -1;
    if (token_is_statement(s, i - 1) || token_is_type(s, i - 1) || token_is(s, i - 1, "sizeof"))
        return -1;
    return row;
}

/* First token of the left operand of the operator at `i`. */
static int left_end(const struct source *s, int i, int precedence)
{
    for (int j = i - 1; j >= 0; j--) {
        int row = binary_row(s, j), partner = s->tokens[j].partner;

        if (token_is(s, j, ")") || token_is(s, j, "]")) {
            if (token_is_statement(s, partner - 1) && !token_is(s, partner - 1, "return"))
                return j + 1;
            j = partner;
            continue;
        }
        if (partner >= 0 || token_is(s, j, ",") || token_is(s, j, ";") || token_is(s, j, "?") || token_is(s, j, ":") ||
            token_is_statement(s, j))
            return j + 1;
        if (row >= 0 && operators[row].precedence < precedence)
            return j + 1;
    }
    return 0;
}

/* Last token of the right operand of the operator at `i`. */
static int right_end(const struct source *s, int i, int precedence)
{
    for (int j = i + 1; j < s->count; j++) {
        int row = binary_row(s, j), partner = s->tokens[j].partner;

        if (partner > j) {
            j = partner;
            continue;
        }
        if (partner >= 0 || token_is(s, j, ",") || token_is(s, j, ";") || token_is(s, j, ":") ||
            (token_is(s, j, "?") && precedence > 0))
            return j - 1;
        if (row >= 0 && precedence > 0 && operators[row].precedence <= precedence)
            return j - 1;
    }
    return s->count - 1;
}

/* Last token of what a prefix operator at `i` takes. */
static int prefix_end(const struct source *s, int i)
{
    int j = i + 1;

    while (token_is(s, j, "!") || token_is(s, j, "*") || token_is(s, j, "&") || token_is(s, j, "-"))
        j++;
    for (j = s->tokens[j].partner > j ? s->tokens[j].partner : j;;) {
        if (token_is(s, j + 1, "(") || token_is(s, j + 1, "["))
            j = s->tokens[j + 1].partner;
        else if (token_is(s, j + 1, ".") || token_is(s, j + 1, "->"))
            j += 2;
        else
            return j;
    }
}

/* The change of token `i` as number `id`. */
bool change_make(const struct source *s, int i, int id, struct change *change)
{
    const struct token *token = &s->tokens[i];
    const char *text = s->text + token->begin;
    const int length = (int)(token->end - token->begin), row = binary_row(s, i);
    const bool yes = token_is(s, i, "true"), no = token_is(s, i, "false");

    *change = (struct change){.token = i, .first = i, .last = i};
    if (token->left_alone)
        return false;
    if (row >= 0 && operators[row].other != NULL) {
        change->other = operators[row].other;
        change->first = left_end(s, i, operators[row].precedence);
        change->last = right_end(s, i, operators[row].precedence);
        snprintf(change->before, sizeof change->before, "MUTANT_BINARY(%d, (", id);
        snprintf(change->instead, sizeof change->instead, "), %s, %s, (", operators[row].mark, change->other);
        strcpy(change->behind, "))");
    } else if (token_is(s, i, "!")) {
        change->other = "nothing";
        change->last = prefix_end(s, i);
        snprintf(change->before, sizeof change->before, "(mutant_on(%d) != ", id);
        strcpy(change->instead, "!");
        strcpy(change->behind, ")");
    } else if ((token_is(s, i, "++") || token_is(s, i, "--")) &&
               (s->tokens[i - 1].kind == NAME || token_is(s, i - 1, "]"))) {
        change->other = token_is(s, i, "++") ? "--" : "++";
        change->first = left_end(s, i, 20);
        snprintf(change->before, sizeof change->before, "MUTANT_POSTFIX(%d, (", id);
        snprintf(change->instead, sizeof change->instead, "), %.2s, %s)", text, change->other);
    } else if (yes || no) {
        change->other = yes ? "false" : "true";
        snprintf(change->instead, sizeof change->instead, "(mutant_on(%d) != %s)", id, yes ? "true" : "false");
    } else if (token->kind == NUMBER && length < 20) {
        change->other = token_is(s, i, "1") ? "0" : token_is(s, i, "0") ? "1" : "one more";
        snprintf(change->instead, sizeof change->instead, "(mutant_on(%d) ? %.*s %c 1 : %.*s)", id, length, text,
                 token_is(s, i, "1") ? '-' : '+', length, text);
    } else {
        return false;
    }
    return true;
}

static void write_token(const struct source *s, int i, int count, const struct change *changes)
{
    for (int c = 0; c < count; c++)
        if (changes[c].token == i) {
            fputs(changes[c].instead, stdout);
            return;
        }
    fwrite(s->text + s->tokens[i].begin, 1, (size_t)(s->tokens[i].end - s->tokens[i].begin), stdout);
}

void change_write(const struct source *s, int count, const struct change *changes)
{
    long written = 0;

    for (int i = 0; i < s->count; i++) {
        fwrite(s->text + written, 1, (size_t)(s->tokens[i].begin - written), stdout);
        for (int last = s->count; last >= i; last--) /* wider changes open first */
            for (int c = 0; c < count; c++)
                if (changes[c].first == i && changes[c].last == last)
                    fputs(changes[c].before, stdout);
        write_token(s, i, count, changes);
        for (int first = i; first >= 0; first--) /* and close last */
            for (int c = 0; c < count; c++)
                if (changes[c].first == first && changes[c].last == i)
                    fputs(changes[c].behind, stdout);
        written = s->tokens[i].end;
    }
    fwrite(s->text + written, 1, (size_t)(s->bytes - written), stdout);
}
