/* Polygons drawn on a map of place_map.js inside an .area-field, kept as a GeoJSON MultiPolygon in its text. Which way rings turn
   and whether a shape crosses itself is for the server to say. */
"use strict";

document.addEventListener("place-map-ready", function (event) {
  const field = event.target.closest(".area-field");
  if (!field) { return; }
  const map = event.detail.map;
  const value = field.querySelector(".area-value"), count = field.querySelector(".area-count");
  const style = { color: "#0b6e8a", weight: 2, fillOpacity: 0.15 };
  const drawn = L.featureGroup().addTo(map);

  function swapped(ring) { return ring.map(function (at) { return [at[1], at[0]]; }); }

  /* The polygons of a GeoJSON text, each a list of rings of [latitude, longitude]; null where it is none. */
  function polygonsIn(text) {
    try {
      const told = JSON.parse(text);
      const polygons = told.type === "Polygon" ? [told.coordinates] : told.coordinates;
      return polygons.map(function (rings) { return rings.map(swapped); });
    } catch (error) {
      return null;
    }
  }

  function ringOf(corners) {
    const ring = corners.map(function (at) { return [Number(at.lng.toFixed(6)), Number(at.lat.toFixed(6))]; });
    ring.push(ring[0].slice());
    return ring;
  }

  function say() {
    const many = drawn.getLayers().length;
    count.textContent = many === 0 ? "Nothing is drawn yet: choose the polygon at the right of the map."
      : many === 1 ? "1 polygon." : many + " polygons, together one area.";
  }

  function write() {
    const polygons = drawn.getLayers().map(function (layer) {
      return layer.getLatLngs().map(ringOf);
    });
    value.value = polygons.length ? JSON.stringify({ type: "MultiPolygon", coordinates: polygons }) : "";
    say();
  }

  function read() {
    drawn.clearLayers();
    const polygons = value.value.trim() === "" ? [] : polygonsIn(value.value);
    if (polygons === null) {
      count.textContent = "The text is no GeoJSON that can be drawn.";
      return;
    }
    try {
      polygons.forEach(function (rings) { drawn.addLayer(L.polygon(rings, style)); });
      if (drawn.getLayers().length) { map.fitBounds(drawn.getBounds(), { padding: [40, 40], maxZoom: 15, animate: false }); }
      say();
    } catch (error) {
      count.textContent = "The text is no GeoJSON that can be drawn.";
    }
  }

  read();
  if (value.readOnly) { return; }
  map.addControl(new L.Control.Draw({
    position: "topright",
    draw: {
      polygon: { shapeOptions: style, allowIntersection: true },
      rectangle: { shapeOptions: style, showArea: false },
      polyline: false, circle: false, circlemarker: false, marker: false
    },
    edit: { featureGroup: drawn }
  }));
  map.on(L.Draw.Event.CREATED, function (made) { drawn.addLayer(made.layer); write(); });
  map.on(L.Draw.Event.EDITED, write);
  map.on(L.Draw.Event.DELETED, write);
  value.addEventListener("change", read);
});
