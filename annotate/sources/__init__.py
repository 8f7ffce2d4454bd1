"""Where the images are: folders, tars, parquet files, lists; each gives the same images in the same order again."""
