# Runs of the whole program on tiny models: killed, stopped, fed with damage (tests/faults), end to end (tests/e2e), and by
# several processes (tests/distributed).
if(ANTIPHON_FFMPEG AND EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/faults/*_test.py ${CMAKE_CURRENT_SOURCE_DIR}/e2e/*_test.py
    ${CMAKE_CURRENT_SOURCE_DIR}/distributed/*_test.py)
  add_library(fault_shim MODULE faults/fault_shim.cpp)  # preloaded into the program
  add_library(new_shim MODULE faults/new_shim.cpp)      # likewise, as the next one
  add_library(memory_shim MODULE faults/memory_shim.cpp)
  add_library(clock_shim MODULE faults/clock_shim.cpp)
  foreach(script ${scripts})
    cmake_path(GET script PARENT_PATH group)
    cmake_path(GET group FILENAME group)
    cmake_path(GET script STEM name)
    string(REGEX REPLACE "_test$" "" name ${name})
    add_test(NAME "${group}: ${name}" COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${script})
    set_tests_properties("${group}: ${name}" PROPERTIES ENVIRONMENT "ANTIPHON=$<TARGET_FILE:antiphon_program>;FAULT_SHIM=$<TARGET_FILE:fault_shim>;NEW_SHIM=$<TARGET_FILE:new_shim>;MEMORY_SHIM=$<TARGET_FILE:memory_shim>;CLOCK_SHIM=$<TARGET_FILE:clock_shim>;FIXTURES=${CMAKE_BINARY_DIR}/fixtures" TIMEOUT 1800)
  endforeach()
  foreach(name kill_points process resume stop run_folder)
    set_tests_properties("faults: ${name}" PROPERTIES TIMEOUT 3600)  # the long form, with ANTIPHON_LONG=1
  endforeach()
  # These look at times: what waits for whom, and for how long. The others may share the processors.
  foreach(name kills launch one_fails starters straggler)
    set_tests_properties("distributed: ${name}" PROPERTIES PROCESSORS 2)
  endforeach()
  # The longest first, so that no processor waits for one of them at the end.
  foreach(name context expert families fsdp meshes pipeline replicate tensor)
    set_tests_properties("distributed: ${name}" PROPERTIES COST 300 TIMEOUT 1800)
  endforeach()
  set_tests_properties("e2e: memory" "e2e: plan" "distributed: out_of_memory" PROPERTIES COST 150)
  set_tests_properties("distributed: families" "distributed: gradients" "distributed: kills" "distributed: launch" "distributed: meshes" PROPERTIES TIMEOUT 3600)
  set_tests_properties("e2e: steady_memory" PROPERTIES TIMEOUT 7200)
  set_tests_properties("e2e: large_data" PROPERTIES TIMEOUT 3600)  # the long form writes 8 GiB
  set_tests_properties("e2e: report_page" PROPERTIES SKIP_RETURN_CODE 77)  # without Chromium
endif()
