"""Reports as one self-contained page: charts as SVG, tables beside them, no script and no request to any network."""
