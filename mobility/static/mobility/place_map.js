/* Draws every .place-map of the page from its data-drawing. Works without tiles: a graticule, a scale and the
   coordinates under the pointer say where one is. Text goes in as text, never as HTML. */
"use strict";

(function () {
  const COLOURS = { pickup: "#0b6e8a", dropoff: "#a23b2a", driver: "#3f7d2c" };
  const STEPS = [45, 30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];

  function text(tag, className, content) {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = content;
    return element;
  }

  function degrees(value, step, positive, negative) {
    const decimals = step >= 1 ? 0 : Math.ceil(-Math.log10(step));
    const side = value > 0 ? positive : value < 0 ? negative : "";
    return Math.abs(value).toFixed(decimals) + "°" + (side ? " " + side : "");
  }

  function wrapped(longitude) {
    return ((longitude + 180) % 360 + 360) % 360 - 180;
  }

  /* Meridians and parallels of a round step, five or so across the view, labelled at the left and lower edge. */
  function drawGraticule(map, layer) {
    layer.clearLayers();
    const view = map.getBounds();
    const west = view.getWest(), east = view.getEast();
    const south = Math.max(view.getSouth(), -85), north = Math.min(view.getNorth(), 85);
    const step = STEPS.find(function (s) { return s <= (east - west) / 4; }) || STEPS[STEPS.length - 1];
    const style = { color: "#9fb1b6", weight: 1, opacity: 0.7, interactive: false };
    const size = map.getSize();
    const corner = map.containerPointToLatLng([4, size.y - 6]);

    function label(at, content, anchor) {
      const icon = L.divIcon({ className: "", iconSize: null, iconAnchor: anchor, html: text("span", "place-degree", content) });
      L.marker(at, { icon: icon, interactive: false, keyboard: false }).addTo(layer);
    }
    for (let i = Math.ceil(west / step); i * step <= east; i++) {
      const longitude = i * step;
      L.polyline([[south, longitude], [north, longitude]], style).addTo(layer);
      label([corner.lat, longitude], degrees(wrapped(longitude), step, "E", "W"), [-3, 14]);
    }
    for (let i = Math.ceil(south / step); i * step <= north; i++) {
      const latitude = i * step;
      L.polyline([[latitude, west], [latitude, east]], style).addTo(layer);
      if (latitude < corner.lat + (north - south) * 0.06) { continue; }
      label([latitude, corner.lng], degrees(latitude, step, "N", "S"), [0, 15]);
    }
  }

  function showPointer(map) {
    const control = L.control({ position: "topright" });
    const box = text("div", "place-pointer", "");
    control.onAdd = function () { return box; };
    control.addTo(map);
    map.on("mousemove", function (event) {
      const at = event.latlng.wrap();
      box.textContent = at.lat.toFixed(5) + ", " + at.lng.toFixed(5);
    });
  }

  function addPlace(map, place) {
    const colour = COLOURS[place.kind] || "#444";
    const marker = L.circleMarker([place.latitude, place.longitude],
      { radius: 8, color: "#fff", weight: 2, fillColor: colour, fillOpacity: 1 });
    marker.bindTooltip(text("span", "", place.label), { permanent: true, direction: "right", offset: [8, 0] });
    return marker.addTo(map);
  }

  function letEdit(map, field, marker) {
    const value = field.querySelector(".place-value");
    const inputs = {};
    field.querySelectorAll("[data-axis]").forEach(function (input) { inputs[input.dataset.axis] = input; });

    function put(latitude, longitude) {
      value.value = JSON.stringify({ type: "Point", coordinates: [longitude, latitude] });
      marker = marker || addPlace(map, { latitude: latitude, longitude: longitude, label: "position", kind: "driver" });
      marker.setLatLng([latitude, longitude]);
    }
    function show(latitude, longitude) {
      inputs.latitude.value = latitude.toFixed(6);
      inputs.longitude.value = longitude.toFixed(6);
    }
    function typed() {
      const latitude = inputs.latitude.valueAsNumber, longitude = inputs.longitude.valueAsNumber;
      if (Number.isFinite(latitude) && Number.isFinite(longitude)) {
        put(latitude, longitude);
        map.panTo([latitude, longitude]);
      }
    }
    if (marker) { show(marker.getLatLng().lat, marker.getLatLng().lng); }
    map.on("click", function (event) {
      const at = event.latlng.wrap();
      put(at.lat, at.lng);
      show(at.lat, at.lng);
    });
    Object.values(inputs).forEach(function (input) { input.addEventListener("change", typed); });
  }

  function draw(element) {
    const drawing = JSON.parse(element.dataset.drawing);
    const map = L.map(element,
      { minZoom: 2, maxZoom: 19, worldCopyJump: true, zoomControl: false, attributionControl: Boolean(drawing.tiles) });
    L.control.zoom({ position: "topright" }).addTo(map);
    map.setView(drawing.center, drawing.zoom);
    if (drawing.tiles) { L.tileLayer(drawing.tiles, { maxZoom: 19 }).addTo(map); }
    L.control.scale({ imperial: false, position: "bottomright" }).addTo(map);
    const graticule = L.layerGroup().addTo(map);
    map.on("moveend resize", function () { drawGraticule(map, graticule); });
    showPointer(map);

    const points = drawing.places.map(function (place) { return [place.latitude, place.longitude]; });
    if (drawing.line && points.length >= 2) {
      const start = points[0], end = points[1].slice();
      if (end[1] - start[1] > 180) { end[1] -= 360; } else if (start[1] - end[1] > 180) { end[1] += 360; }
      L.polyline([start, end], { color: "#4b6068", weight: 2, dashArray: "6 6", interactive: false }).addTo(map);
    }
    const markers = drawing.places.map(function (place) { return addPlace(map, place); });
    if (points.length === 1) { map.setView(points[0], 14); }
    if (points.length > 1) { map.fitBounds(points, { padding: [60, 60], maxZoom: 15 }); }
    drawGraticule(map, graticule);
    const field = element.closest(".place-field");
    if (drawing.editable && field) { letEdit(map, field, markers[0]); }
    /* A map in a collapsed fieldset has no size until it is opened. */
    new ResizeObserver(function () { map.invalidateSize(); }).observe(element);
    element.dataset.mapReady = "yes";
    /* Who puts more on it (area_map.js) hears of it. */
    element.dispatchEvent(new CustomEvent("place-map-ready", { bubbles: true, detail: { map: map } }));
  }

  function drawAll() {
    document.querySelectorAll(".place-map:not([data-map-ready])").forEach(function (element) {
      /* The pattern from which the admin makes further inline forms is no form itself. */
      if (!element.closest(".empty-form")) { draw(element); }
    });
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", drawAll);
  } else {
    drawAll();
  }
})();
