# A vendor of C++ trains: a plugin in C++17 that is built with the package alone has, step by step, the losses of `cpu`.
include(${CMAKE_CURRENT_LIST_DIR}/out_of_tree.cmake)
if(NOT compiler)
  find_program(found NAMES c++ g++ clang++ clang++-16 clang++-15 clang++-14)
  if(NOT found)
    message("skipped: the plugin in C++, a compiler of C++ is not on this machine")
    return()
  endif()
  set(compiler ${found})
endif()
build_away(${CMAKE_CURRENT_LIST_DIR}/cpp_plugin CXX cpp)
set(entry llmrun_backend_entry)
include(${CMAKE_CURRENT_LIST_DIR}/plugin_shape.cmake)

# Real text that is there in every build, the help of the keys, in documents shorter than a sequence and longer ones.
execute_process(COMMAND ${llmrun} config keys OUTPUT_VARIABLE text)
string(REGEX REPLACE "[\\\\\"\t]" "" text "${text}")
string(REPLACE "\n" "\\n" text "${text}")
string(LENGTH "${text}" length)
set(documents)
foreach(piece RANGE 99)
  math(EXPR size "11 + 37 * (${piece} % 5)")
  math(EXPR first "${piece} * 131 % (${length} - ${size})")
  string(SUBSTRING "${text}" ${first} ${size} document)
  string(REGEX REPLACE "^n|\\\\$" "" document "${document}") # halves of \n
  string(APPEND documents "{\"text\": \"${document}\"}\n")
endforeach()
file(WRITE ${scratch}/text.jsonl "${documents}")
# Three key heads for six query heads; microbatches, so that gradients are added to.
file(WRITE ${scratch}/tiny.yaml "\
model: {preset: llama-tiny, overrides: {num_hidden_layers: 2, hidden_size: 48, num_attention_heads: 6, num_key_value_heads: 3}}
data: {train: ${scratch}/text.jsonl, seq_len: 32}
train: {steps: 20, global_batch: 4, micro_batch: 2, eval_every: 0}
optim: {decay: constant, warmup: 5, lr: 0.003}
numerics: {exact: false}
checkpoint: {every: 0}
run: {threads: 1}
")

function(numbers variable key lines)
  string(REGEX MATCHALL "\"${key}\":[^,]+" found "${lines}")
  list(TRANSFORM found REPLACE ".*:" "")
  string(JOIN " " found ${found})
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

function(train name backend)
  run(${llmrun} ${scratch}/tiny.yaml --backend ${backend} --run.dir ${scratch}/run.${name})
  file(READ ${scratch}/run.${name}/metrics.jsonl lines)
  numbers(losses loss "${lines}")
  numbers(norms grad_norm "${lines}")
  set(${name}_losses ${losses} PARENT_SCOPE)
  set(${name}_norms ${norms} PARENT_SCOPE)
endfunction()

# The first `count` numbers of 20 steps are there, above 0, and apart by no more than `bound` of their size.
function(compare what count bound)
  set(a ${cpp_${what}})
  set(b ${cpu_${what}})
  execute_process(COMMAND awk -v a=${a} -v b=${b} -v count=${count} -v bound=${bound} "BEGIN {
    good = split(a, x, \" \") == 20 && split(b, y, \" \") == 20
    for (i = 1; i <= count; i++) {
      apart = x[i] - y[i]
      good = good && y[i] > 0 && apart <= bound * y[i] && -apart <= bound * y[i]
    }
    exit !good
  }" RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(SEND_ERROR "${what}: the first ${count} of 20 must be within ${bound} of those of cpu\ncpp ${a}\ncpu ${b}")
  endif()
endfunction()

train(cpp cpp=${plugin})
train(cpu cpu)
compare(losses 20 1e-4)
# AdamW does not see a gradient that is too large by a factor, its norm does. Later the two runs may drift apart.
compare(norms 5 1e-5)
execute_process(COMMAND awk -v a=${cpp_losses} "BEGIN { n = split(a, x, \" \"); exit !(x[n] < 0.8 * x[1]) }"
  RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(SEND_ERROR "the loss must fall by a fifth: ${cpp_losses}")
endif()
