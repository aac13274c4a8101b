# Which layouts tests/layouts trains: each row is a run of 50 steps, held to one rank.
#
#   awk -v make=pairs -f cover.awk             a pairwise cover: any two levels that can go together are in a row; cover.txt
#   awk -v make=all -f cover.awk               every layout, ZeRO stage and sp in every family and type, the rest in turn
#   awk -v make=check -f cover.awk cover.txt   says which pairs a table lacks, and which rows are no layout; ends with 1
#
# The result is the same on each machine: numbers are drawn from a generator of its own.

function levels(factor, list, i, words) {
    names[++factors] = factor
    count[factors] = split(list, words, " ")
    for (i = 1; i <= count[factors]; i++)
        level[factors, i] = words[i]
    of[factor] = factors
}

# Park and Miller 1988, below `most`.
function draw(most) {
    seed = seed * 16807 % 2147483647
    return seed % most
}

function has(row, factor) { return row[of[factor]] != "" }
function get(row, factor) { return row[of[factor]] }

function size(layout, axis) { return match(layout, axis "[0-9]") ? substr(layout, RSTART + 2, 1) + 0 : 1 }

# Whether what is set of a row can be trained, with 16 sequences a step.
function possible(row, layout, each) {
    if (has(row, "chunk") && get(row, "chunk") != "-") {
        # Tokens of the loss at once: 64 are a part of the 128 of a microbatch.
        if (has(row, "sp") && get(row, "sp") == "-")
            return 0
        if (has(row, "micro_batch") && get(row, "micro_batch") != 4)
            return 0
    }
    if (!has(row, "layout"))
        return 1
    layout = get(row, "layout")
    each = 16 / size(layout, "dp")
    if (has(row, "zero") && get(row, "zero") != 0 && size(layout, "dp") == 1)
        return 0
    if (has(row, "zero") && get(row, "zero") == "1:2" && size(layout, "dp") < 4)
        return 0 # groups of two are all ranks
    if (has(row, "sp") && (get(row, "sp") == "-") != (size(layout, "tp") == 1))
        return 0
    if (has(row, "chunk") && get(row, "chunk") != "-" && size(layout, "tp") == 1)
        return 0
    if (has(row, "schedule") && (get(row, "schedule") == "-") != (size(layout, "pp") == 1))
        return 0
    if (has(row, "schedule") && get(row, "schedule") == "interleaved" && layout == "pp3")
        return 0 # of 16, 8 or 4 microbatches
    return !has(row, "micro_batch") || get(row, "micro_batch") <= each
}

# Whether something that can be trained has these two levels: the other factors are tried one after the other.
function completes(row, factor, i, found) {
    if (!possible(row))
        return 0
    while (factor <= factors && row[factor] != "")
        factor++
    if (factor > factors)
        return 1
    for (i = 1; !found && i <= count[factor]; i++) {
        row[factor] = level[factor, i]
        found = completes(row, factor + 1)
        row[factor] = ""
    }
    return found
}

function clear(row, f) {
    for (f = 1; f <= factors; f++)
        row[f] = ""
}

function key(f, x, g, y) { return f < g ? f SUBSEP x SUBSEP g SUBSEP y : g SUBSEP y SUBSEP f SUBSEP x }

# wanted[pair]: it can be, and no row has it so far.
function find_pairs(f, g, i, j) {
    for (f = 1; f < factors; f++)
        for (g = f + 1; g <= factors; g++)
            for (i = 1; i <= count[f]; i++)
                for (j = 1; j <= count[g]; j++) {
                    clear(trial)
                    trial[f] = level[f, i]
                    trial[g] = level[g, j]
                    if (completes(trial, 1)) {
                        order[++pairs] = key(f, level[f, i], g, level[g, j])
                        wanted[order[pairs]] = 1
                    }
                }
}

# Pairs that `row` would cover with level x of factor f.
function gain(row, f, x, g, sum) {
    for (g = 1; g <= factors; g++)
        if (g != f && row[g] != "" && (key(f, x, g, row[g]) in wanted))
            sum++
    return sum + 0
}

# Sets the factors of `row` that are not set, in an order that is drawn, each to the level that covers most pairs.
function complete(row, f, i, k, best, most, found, places, left) {
    for (f = 1; f <= factors; f++)
        if (row[f] == "")
            places[++left] = f
    for (; left > 0; left--) {
        k = 1 + draw(left)
        f = places[k]
        places[k] = places[left]
        most = -1
        for (i = 1; i <= count[f]; i++) {
            row[f] = level[f, i]
            found = possible(row) ? gain(row, f, row[f]) + draw(1000) / 1001 : -1
            if (found > most) {
                most = found
                best = row[f]
            }
        }
        if (most < 0)
            return 0
        row[f] = best
    }
    return 1
}

function cover(row, f, g) {
    for (f = 1; f < factors; f++)
        for (g = f + 1; g <= factors; g++)
            delete wanted[key(f, row[f], g, row[g])]
}

function covered(row, f, g, sum) {
    for (f = 1; f < factors; f++)
        for (g = f + 1; g <= factors; g++)
            sum += key(f, row[f], g, row[g]) in wanted
    return sum
}

function print_row(row, f, line) {
    for (f = 1; f <= factors; f++)
        line = line sprintf(f < factors ? "%-14s" : "%s", row[f])
    print line
}

# Greedy, of many rows the one that covers most (Cohen et al. 1997, The AETG system).
function make_pairs(p, try, most, f, parts, found, best) {
    find_pairs()
    for (p = 1; p <= pairs; p++) {
        if (!(order[p] in wanted))
            continue
        most = 0
        for (try = 0; try < TRIES; try++) {
            clear(trial)
            split(order[p], parts, SUBSEP)
            trial[parts[1]] = parts[2]
            trial[parts[3]] = parts[4]
            found = complete(trial) ? covered(trial) : 0
            for (f = 1; found > most && f <= factors; f++)
                best[f] = trial[f]
            if (found > most)
                most = found
        }
        cover(best)
        print_row(best)
    }
}

# Sets a factor of `row` to the first level from number `turn` on that can be.
function turn_to(row, factor, turn, f, i) {
    f = of[factor]
    for (i = 0; i < count[f]; i++) {
        row[f] = level[f, 1 + (turn + i) % count[f]]
        if (possible(row))
            return
    }
}

# The six rows of a layout, each with another schedule; `number` is the layout's.
function make_six(layout, zero, sp, number, c, row) {
    for (c = 0; c < 6; c++) {
        clear(row)
        row[of["layout"]] = layout
        row[of["zero"]] = zero
        row[of["sp"]] = sp
        row[of["family"]] = level[of["family"], 1 + int(c / 2)]
        row[of["type"]] = level[of["type"], 1 + c % 2]
        turn_to(row, "schedule", c + number)
        turn_to(row, "recompute", c + int(c / 3) + number)
        turn_to(row, "micro_batch", int(c / 2) + number)
        turn_to(row, "chunk", 1)
        turn_to(row, "text", c + int(c / 2) + number)
        turn_to(row, "transport", int(c / 3) + number)
        print_row(row)
    }
}

function make_all(i, j, k, number, l, z, s) {
    l = of["layout"]
    z = of["zero"]
    s = of["sp"]
    for (i = 1; i <= count[l]; i++)
        for (j = 1; j <= count[z]; j++)
            for (k = 1; k <= count[s]; k++) {
                clear(trial)
                trial[l] = level[l, i]
                trial[z] = level[z, j]
                trial[s] = level[s, k]
                if (possible(trial))
                    make_six(level[l, i], level[z, j], level[s, k], number++)
            }
}

BEGIN {
    TRIES = 60
    seed = 12
    levels("family", "gpt2-8 llama-8 qwen3-8")
    levels("type", "fp32 bf16")
    levels("layout", "dp2 dp4 dp8 tp2 tp4 tp8 pp2 pp3 pp4 tp2dp2 pp2dp2 tp2pp2 tp2pp2dp2")
    levels("zero", "0 1 1:2")
    levels("sp", "- true false")
    levels("schedule", "- gpipe 1f1b interleaved zero-bubble zero-bubble-v")
    levels("recompute", "none selective full")
    levels("micro_batch", "1 2 4")
    levels("chunk", "- 64")
    levels("text", "packed apart")
    levels("transport", "memory tcp")
    if (make == "check")
        find_pairs()
    else {
        for (f = 1; f <= factors; f++)
            found[f] = names[f]
        print_row(found)
        if (make == "all")
            make_all()
        else
            make_pairs()
        exit
    }
}

# make=check: the rows of the table, below its heads.
FNR > 1 {
    for (f = 1; f <= factors; f++) {
        known[f] = 0
        for (i = 1; i <= count[f]; i++)
            known[f] += $f == level[f, i]
        trial[f] = $f
        if (known[f] == 0) {
            print "row " FNR " of the table has " $f " as " names[f]
            bad = 1
        }
    }
    if (!possible(trial)) {
        print "row " FNR " of the table is no layout: " $0
        bad = 1
    }
    cover(trial)
}

END {
    if (make != "check")
        exit
    for (p = 1; p <= pairs; p++)
        if (order[p] in wanted) {
            split(order[p], parts, SUBSEP)
            print "no row has " names[parts[1]] " " parts[2] " with " names[parts[3]] " " parts[4]
            bad = 1
        }
    if (FNR - 1 > 60 || FNR < 2) {
        print FNR - 1 " rows, 1 to 60 are wanted"
        bad = 1
    }
    exit bad
}
