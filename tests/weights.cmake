# The safetensors reader against the Python package, and its fuzz target: the header's parser.
if(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  add_test(NAME "parity: safetensors"
    COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/parity/safetensors_parity.py $<TARGET_FILE:safetensors_probe>)
  set_tests_properties("parity: safetensors" PROPERTIES LABELS parity)
endif()

antiphon_fuzz(safetensors CORPUS fuzz/corpus/safetensors
  SOURCES weights/safetensors_header weights/json_cursor base/error base/shown base/strings)
antiphon_fuzz(gguf CORPUS fuzz/corpus/gguf SOURCES base/gguf base/error base/shown base/strings)
