# Scores of answers against jiwer and sacrebleu.
if(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  add_test(NAME "parity: metrics"
    COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/parity/metrics_parity.py $<TARGET_FILE:metrics_probe>)
endif()
