"""A place on the map: from where a plume is in the picture to where on the ground it comes from.

    locator = locator.open(settings, source)       # edge.geo.locator: one camera's
    event = locator.located(event, size)           # the event with its Location, or as it was

`place` is the geometry, `errors` what becomes of every error in it, `track` the camera's pose at any time, `mavlink`
and `klv` where poses come from, `incident` which leaks are one, `geojson` the map. What is needed beside the device's
own libraries comes with the extra [geo], and is loaded where poses are.
"""
