# cmake -DOUTPUT=… -DFILES="a.html;b.css" -P embed.cmake: a header with a string of each file, page.css as page_css.
set(text "// Made out of the files of apps/report; do not edit.\n#pragma once\n\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  string(REPLACE "." "_" name ${name})
  file(READ ${file} content)
  string(APPEND text "inline constexpr char ${name}[] = R\"antiphon(${content})antiphon\";\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
