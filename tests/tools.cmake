# The Python tools of the demo, on made-up inputs. They need numpy and the readers of the published formats.
# The arithmetic of ./dev bench; nothing is measured.
add_test(NAME "tools: filesystem" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tools/filesystem_test.py)
add_test(NAME "tools: count_tests" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tools/count_tests_test.py)
add_test(NAME "tools: models page" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tools/models_page_test.py)
if(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  add_test(NAME "tools: demo" COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/tools/demo_test.py)
  add_test(NAME "tools: bench" COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/tools/bench_test.py)
endif()
add_test(NAME "tools: mutations of today's sources" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tools/mutations_test.py)
if(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  # Builds the sources once more, and changed ones some forty times: with ANTIPHON_LONG=1 alone.
  add_test(NAME "tools: mutations" COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_SOURCE_DIR}/tools/mutations.py)
  set_tests_properties("tools: mutations" PROPERTIES SKIP_RETURN_CODE 77 RUN_SERIAL ON TIMEOUT 14400)
endif()
