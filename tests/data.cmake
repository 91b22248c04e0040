# Readers of data sets under a fuzzer.
antiphon_fuzz(tar CORPUS fuzz/corpus/tar SOURCES component/record/tar base/error base/files base/paths base/shown base/strings)
