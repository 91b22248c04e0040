# The readers of weights against the Python packages, and their fuzz targets: what parses, without LibTorch.
if(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  add_test(NAME "parity: safetensors"
    COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/parity/safetensors_parity.py $<TARGET_FILE:safetensors_probe>)
  add_test(NAME "parity: torch files"
    COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/parity/torch_file_parity.py $<TARGET_FILE:safetensors_probe>)
  set_tests_properties("parity: safetensors" "parity: torch files" PROPERTIES LABELS parity)
endif()

antiphon_fuzz(safetensors CORPUS fuzz/corpus/safetensors
  SOURCES weights/safetensors_header weights/json_cursor base/error base/shown base/strings)
antiphon_fuzz(torch_file CORPUS fuzz/corpus/torch_file
  SOURCES weights/torch/zip weights/torch/pickle weights/torch/byte_source base/error base/files base/paths base/shown base/strings)
antiphon_fuzz(gguf CORPUS fuzz/corpus/gguf SOURCES base/gguf base/error base/shown base/strings)
