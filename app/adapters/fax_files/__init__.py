"""Pages as the line carries them: class F TIFF, and the PDF of the same bits."""
