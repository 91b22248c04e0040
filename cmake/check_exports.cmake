# cmake -DNM=… -DFILE=… -P check_exports.cmake: a plugin exports its manifest and its entry function, nothing else.
execute_process(COMMAND ${NM} -D --defined-only ${FILE} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^ \n]+\n" names "${symbols}")
list(TRANSFORM names STRIP)
list(SORT names)
if(NOT names STREQUAL "antiphon_plugin_entry;antiphon_plugin_manifest")
  message(FATAL_ERROR "${FILE} must export antiphon_plugin_entry and antiphon_plugin_manifest only; it exports: ${names}")
endif()
