# The program as a user meets it: conformance, schemas, messages.
# One plugin with components of every kind that have a fault each, by their names, and one without.
foreach(of_kind
    "encoder sound lying_grid cut_gradient global_generator foreign_exception shared_state unnamed_parameter"
    "connector sound rounded_up batch_scale"
    "language_model sound sees_future ignores_rows counts_from_one turned_head sums_in_place loses_change"
    "peft sound forgets_bias cuts_input names_by_number cannot_merge denies_merging"
    "head sound mixes_tokens other_width"
    "objective sound batch_mean taken_name metric_with_gradient doubled_gradient counts_all"
    "optimizer sound state_on_cpu counts_itself decay_in_gradient"
    "voice_activity sound gives_logits forgets_past any_window"
    "speech_synthesizer sound goes_on too_loud says_nothing"
    "data_source sound any_file from_zero by_name empty_too first_again other_columns loses_one"
    "record_format sound any_record unnamed_key json_exception unknown_role"
    "reward sound infinite one_short batch_mean by_place"
    "model_family sound two_owners no_language_model any_config"
    "encodre misspelt")
  separate_arguments(names UNIX_COMMAND "${of_kind}")
  list(POP_FRONT names kind)
  list(TRANSFORM names PREPEND ${kind}:)
  list(APPEND faulty_components ${names})
endforeach()
file(GLOB faulty_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/plugin_fixtures/conformance/*.cpp)
list(FILTER faulty_sources EXCLUDE REGEX "/none\\.cpp$")
set(ANTIPHON_PLUGIN_OUTPUT_DIR ${CMAKE_BINARY_DIR}/fixtures/conformance)
antiphon_add_plugin(faulty KIND encoder VERSION 0.1.0 DOC "faults of every kind" PROVIDES ${faulty_components}
  SOURCES ${faulty_sources} NOT_INSTALLED)
set_target_properties(plugin_faulty_objects PROPERTIES UNITY_BUILD ${ANTIPHON_UNITY} UNITY_BUILD_BATCH_SIZE 8)
antiphon_add_plugin(none KIND encoder VERSION 0.1.0 DOC "without a fault" SOURCES plugin_fixtures/conformance/none.cpp NOT_INSTALLED)
unset(ANTIPHON_PLUGIN_OUTPUT_DIR)

set(python ${CMAKE_SOURCE_DIR}/.venv/bin/python)
if(EXISTS ${python})
  add_test(NAME "conformance: fixtures" COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/cli/conformance_test.py
    $<TARGET_FILE:antiphon_program> ${CMAKE_BINARY_DIR}/fixtures/conformance ${CMAKE_SOURCE_DIR})
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
  set_tests_properties(cli "cli: foreign configurations" PROPERTIES COST 100)
endif()
