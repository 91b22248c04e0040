# The program as a user meets it: conformance, schemas, messages.
function(antiphon_conformance_fixture NAME KIND)
  set(ANTIPHON_PLUGIN_OUTPUT_DIR ${CMAKE_BINARY_DIR}/fixtures/conformance/${NAME})
  antiphon_add_plugin(${NAME} KIND ${KIND} VERSION 0.1.0 DOC "a fixture" SOURCES plugin_fixtures/conformance/${NAME}.cpp NOT_INSTALLED)
endfunction()
foreach(name none lying_grid cut_gradient global_generator foreign_exception shared_state unnamed_parameter)
  antiphon_conformance_fixture(${name} encoder)
endforeach()
antiphon_conformance_fixture(taken_name objective)

set(python ${CMAKE_SOURCE_DIR}/.venv/bin/python)
if(EXISTS ${python})
  add_test(NAME "conformance: fixtures" COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/cli/conformance_test.py
    $<TARGET_FILE:antiphon_program> ${CMAKE_BINARY_DIR}/fixtures/conformance)
endif()

# Who includes whom; needs nothing but Python.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME includes COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/check_includes.py ${CMAKE_SOURCE_DIR})
add_test(NAME "tools: check_includes" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tools/check_includes_test.py)
if(EXISTS ${python})
  add_test(NAME cli COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/cli/cli_test.py $<TARGET_FILE:antiphon_program>)
  add_test(NAME "cli: misspelt keys" COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/cli/misspelt_test.py $<TARGET_FILE:antiphon_program>)
  add_test(NAME "cli: foreign configurations" COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/cli/foreign_config_test.py $<TARGET_FILE:antiphon_program>)
  add_test(NAME "package: plugin template" COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/cli/template_test.py ${CMAKE_BINARY_DIR} ${CMAKE_COMMAND})
  set_tests_properties("package: plugin template" PROPERTIES TIMEOUT 900)
endif()
