# A plugin exports its entry and nothing else, and no code of its own runs when it is loaded.
execute_process(COMMAND ${nm} -D --defined-only --format=posix ${plugin} OUTPUT_VARIABLE symbols RESULT_VARIABLE result)
string(REGEX MATCHALL "[^\n]+" symbols "${symbols}")
list(TRANSFORM symbols REPLACE " .*" "")
if(NOT result EQUAL 0 OR NOT symbols STREQUAL entry)
  message(SEND_ERROR "${plugin} exports '${symbols}', not ${entry} alone")
endif()

# The compiler's start file puts one constructor into every shared object; sanitizers add theirs.
execute_process(COMMAND ${readelf} -SW ${plugin} OUTPUT_VARIABLE sections)
string(REGEX MATCH "\\.init_array +INIT_ARRAY +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+)" found "${sections}")
if(NOT sanitizer AND found AND NOT CMAKE_MATCH_1 STREQUAL "000008")
  message(SEND_ERROR "${plugin} has constructors beside the compiler's own: .init_array of 0x${CMAKE_MATCH_1} bytes")
endif()
if(NOT sections MATCHES "\\.note\\.llmrun")
  message(SEND_ERROR "${plugin} has no .note.llmrun")
endif()
