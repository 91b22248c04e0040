# Our components and models against transformers and peft, live: tests/parity/models/.
target_sources(model_probe PRIVATE parity/model_probe_lm.cpp)
if(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  add_test(NAME "parity: models"
    COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/parity/model_parity.py $<TARGET_FILE:model_probe>)
  set_tests_properties("parity: models" PROPERTIES LABELS parity TIMEOUT 600)
endif()
