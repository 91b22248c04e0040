# Runs of the whole program on tiny models: killed, stopped, fed with damage (tests/faults), end to end (tests/e2e), and by
# several processes (tests/distributed).
if(ANTIPHON_FFMPEG AND EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/faults/*_test.py ${CMAKE_CURRENT_SOURCE_DIR}/e2e/*_test.py
    ${CMAKE_CURRENT_SOURCE_DIR}/distributed/*_test.py)
  add_library(fault_shim MODULE faults/fault_shim.cpp)  # preloaded into the program
  foreach(script ${scripts})
    cmake_path(GET script PARENT_PATH group)
    cmake_path(GET group FILENAME group)
    cmake_path(GET script STEM name)
    string(REGEX REPLACE "_test$" "" name ${name})
    add_test(NAME "${group}: ${name}" COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${script})
    set_tests_properties("${group}: ${name}" PROPERTIES ENVIRONMENT "ANTIPHON=$<TARGET_FILE:antiphon_program>;FAULT_SHIM=$<TARGET_FILE:fault_shim>;HELD_VALUES=$<TARGET_FILE_DIR:plugin_held_values>" TIMEOUT 900)
  endforeach()
  foreach(name kill_points process resume stop run_folder)
    set_tests_properties("faults: ${name}" PROPERTIES TIMEOUT 3600)  # the long form, with ANTIPHON_LONG=1
  endforeach()
  set_tests_properties("distributed: answers" "distributed: context" "distributed: copies" "distributed: expert" "distributed: families" "distributed: fsdp" "distributed: gradients" "distributed: kills" "distributed: launch" "distributed: loss_scale" "distributed: meshes" "distributed: narrow" "distributed: offload" "distributed: one_fails" "distributed: out_of_memory" "distributed: pipeline" "distributed: ramp" "distributed: reference" "distributed: replicate" "distributed: reward" "distributed: starters" "distributed: straggler" "distributed: tensor" PROPERTIES PROCESSORS 2)
  set_tests_properties("distributed: families" "distributed: gradients" "distributed: kills" "distributed: launch" "distributed: meshes" PROPERTIES TIMEOUT 3600)
  set_tests_properties("e2e: steady_memory" PROPERTIES TIMEOUT 7200)
  set_tests_properties("e2e: large_data" PROPERTIES TIMEOUT 3600)  # the long form writes 8 GiB
  set_tests_properties("e2e: report_page" PROPERTIES SKIP_RETURN_CODE 77)  # without Chromium
endif()
