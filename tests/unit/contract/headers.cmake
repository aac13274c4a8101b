# Each header of the contract compiles by itself, without a warning, in every language that a plugin author may use, and every
# struct that it defines is in the layout table. What a plugin keeps to itself (op_check.h, op_rows.h) has no layout to keep.
file(READ ${source}/abi_layout.def layout)
file(GLOB headers ${include}/llmrun/*.h)
find_program(gcc NAMES gcc)
find_program(gxx NAMES g++)
find_program(clang NAMES clang clang-16 clang-15 clang-14)
find_program(clangxx NAMES clang++ clang++-16 clang++-15 clang++-14)

function(compile compiler language standard file)
  if(NOT compiler)
    return() # not on this machine
  endif()
  execute_process(
    COMMAND ${compiler} -x ${language} -std=${standard} -pedantic -Wall -Wextra -Wconversion -Wshadow -Werror -fsyntax-only -I${include} -include ${file} /dev/null
    RESULT_VARIABLE result ERROR_VARIABLE text)
  if(NOT result EQUAL 0)
    message(SEND_ERROR "${compiler} -std=${standard} ${file}:\n${text}")
  endif()
endfunction()

set(shared ${headers})
list(FILTER shared EXCLUDE REGEX "/op_(check|rows)\\.h$")
foreach(header IN LISTS shared)
  file(STRINGS ${header} structs REGEX "^struct llmrun_[a-z0-9_]+ {")
  foreach(line IN LISTS structs)
    string(REGEX REPLACE "^struct (llmrun_[a-z0-9_]+).*" "\\1" name "${line}")
    if(NOT layout MATCHES "STRUCT\\(${name}\\)")
      message(SEND_ERROR "${header}: struct ${name} is not in abi_layout.def")
    endif()
  endforeach()
endforeach()

foreach(file IN LISTS headers ITEMS ${source}/all_headers.h)
  foreach(compiler ${gcc} ${clang})
    compile(${compiler} c c99 ${file})
    compile(${compiler} c c17 ${file})
  endforeach()
  foreach(compiler ${gxx} ${clangxx})
    compile(${compiler} c++ c++17 ${file})
  endforeach()
endforeach()
# So does the template that vendors copy.
foreach(compiler ${gxx} ${clangxx})
  if(NOT compiler)
    message("skipped: null.c as C++17, a compiler of C++ is not on this machine")
    continue()
  endif()
  execute_process(
    COMMAND ${compiler} -x c++ -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only -I${include} ${include}/../backends/null/null.c
    RESULT_VARIABLE result ERROR_VARIABLE text)
  if(NOT result EQUAL 0)
    message(SEND_ERROR "${compiler} -std=c++17 null.c:\n${text}")
  endif()
endforeach()
if(NOT gcc AND NOT clang)
  message(SEND_ERROR "there is neither gcc nor clang to compile the headers with")
endif()
