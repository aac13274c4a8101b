# What is made from the op table and committed is what the table makes today.
function(compare what committed)
  execute_process(COMMAND ${generator} ${what} OUTPUT_FILE ${scratch}/${what} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${generator} ${what} failed")
  endif()
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${scratch}/${what} ${committed} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(SEND_ERROR "${committed} is not what core/program/ops.def gives: build the target `generate`")
  endif()
endfunction()

compare(header ${source}/include/llmrun/ops.h)
compare(document ${source}/docs/ops.md)
