# The fuzz target of the readers of media files that are our own.
foreach(name gif image_header jpeg_header limits orientation png sound_length tiff webp)
  list(APPEND media_header_sources media/${name})
endforeach()
antiphon_fuzz(media_headers CORPUS media media/jpeg fuzz/corpus/media_headers LIBS z
  SOURCES ${media_header_sources} base/error base/shown base/strings)
