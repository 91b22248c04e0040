# Live comparisons with the Python libraries: transformers, peft and torch (tests/parity/models/), tokenizers, Pillow.
target_sources(model_probe PRIVATE parity/model_probe_lm.cpp)

function(antiphon_parity_test NAME SCRIPT)
  if(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
    add_test(NAME "parity: ${NAME}" COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/parity/${SCRIPT} ${ARGN})
    set_tests_properties("parity: ${NAME}" PROPERTIES LABELS parity TIMEOUT 600)
  endif()
endfunction()
antiphon_parity_test(models model_parity.py $<TARGET_FILE:model_probe> --report ${CMAKE_BINARY_DIR}/model_parity.json)
# The same with the kernels of lesser processors, and without oneDNN's float32 products.
foreach(isa avx2 baseline)
  antiphon_parity_test("models, ${isa}" model_parity.py $<TARGET_FILE:model_probe>)
  if(TEST "parity: models, ${isa}")
    set_tests_properties("parity: models, ${isa}" PROPERTIES ENVIRONMENT "ANTIPHON_ISA=${isa}")
  endif()
endforeach()
# The pages that say what works are made of what was tested.
if(TEST "parity: models" AND ANTIPHON_FFMPEG)
  set_tests_properties("parity: models" PROPERTIES FIXTURES_SETUP model_parity)
  add_test(NAME "docs: models" COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_SOURCE_DIR}/tools/models_page.py
    ${CMAKE_BINARY_DIR}/model_parity.json $<TARGET_FILE:antiphon_program>)
  set_tests_properties("docs: models" PROPERTIES FIXTURES_REQUIRED model_parity)
endif()
antiphon_parity_test(tokenizers tokenizer_parity.py $<TARGET_FILE:tokenizer_probe>)
antiphon_parity_test(prompts prompt_parity.py $<TARGET_FILE:prompt_probe>)
if(ANTIPHON_FFMPEG)
  antiphon_parity_test(media media_parity.py ${CMAKE_BINARY_DIR})
endif()
