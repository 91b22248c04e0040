# The fuzz target of the readers of media files that are our own.
foreach(name image/gif image/image_header image/jpeg_header limits image/orientation image/png audio/sound_length image/tiff image/webp)
  list(APPEND media_header_sources media/${name})
endforeach()
antiphon_fuzz(media_headers CORPUS media media/jpeg fuzz/corpus/media_headers LIBS z
  SOURCES ${media_header_sources} base/error base/shown base/strings)
