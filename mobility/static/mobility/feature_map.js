/* What maps of features have in common, in a style of our own: no glyphs, no sprites, nothing from elsewhere. Text goes in
   as text, never as HTML. */

const FEATURES_TOLD = 5;
const REACH_PX = 6, MIDDLE_REACH_PX = 20;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* A source may hold points, lines and polygons; which, says only what is in it. GeoJSON has no layers in a source. */
export function styleLayers(source, sourceLayer) {
  const within = sourceLayer === undefined ? {} : { "source-layer": sourceLayer };
  const of = (kind, type, paint) => ({
    id: kind + " " + (sourceLayer || source), type: type, source: source, ...within, paint: paint,
    filter: ["==", ["geometry-type"], { fill: "Polygon", edge: "Polygon", line: "LineString", circle: "Point" }[kind]],
  });
  const mark = colour("--mark"), edge = colour("--mark-edge");
  return [
    of("fill", "fill", { "fill-color": mark, "fill-opacity": 0.2 }),
    of("edge", "line", { "line-color": mark, "line-width": 1.5 }),
    of("line", "line", { "line-color": mark, "line-width": 2.5, "line-opacity": 0.8 }),
    of("circle", "circle", {
      "circle-color": mark, "circle-stroke-color": edge, "circle-stroke-width": 1.5,
      "circle-radius": ["interpolate", ["linear"], ["zoom"], 4, 3, 12, 6, 18, 10],
    }),
  ];
}

function emptyStyle() {
  return {
    version: 8, sources: {},
    layers: [{ id: "ground", type: "background", paint: { "background-color": colour("--ground") } }],
  };
}

/* In the colours that the page has now. */
export function repaint(map, layers) {
  map.setPaintProperty("ground", "background-color", colour("--ground"));
  for (const layer of layers) {
    for (const name of Object.keys(layer.paint)) {
      if (name.endsWith("-color")) {
        map.setPaintProperty(layer.id, name, colour(name.endsWith("stroke-color") ? "--mark-edge" : "--mark"));
      }
    }
  }
}

/* An empty map with its controls. */
export function createMap(maplibre, element, center) {
  const map = new maplibre.Map({
    container: element, style: emptyStyle(), center: center, zoom: 9,
    minZoom: 1, maxZoom: 19, attributionControl: false, dragRotate: false, pitchWithRotate: false,
    cooperativeGestures: matchMedia("(pointer: coarse)").matches, /* one finger scrolls the page, two move the map */
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibre.ScaleControl({ unit: "metric" }), "bottom-left");
  return map;
}

/* --- what something is ----------------------------------------------------------------------------------------- */

function text(tag, content) {
  const made = document.createElement(tag);
  made.textContent = content;
  return made;
}

function described(feature, name, toldAs) {
  const section = document.createElement("section");
  const fields = document.createElement("dl");
  for (const [field, value] of Object.entries(feature.properties)) {
    fields.append(text("dt", field), text("dd", String(toldAs(feature, field, value))));
  }
  const id = feature.id === undefined ? "" : " " + feature.id;
  section.append(text("h3", name + id), fields);
  return section;
}

/* A click, or Enter for what is in the middle, tells the fields of what is there; Escape closes that. `shownLayers` gives
   the layers that are asked, `nameOf` what a feature is called, `toldAs` how a value of it is told. Returns what closes
   whatever is open. */
export function letAsk(maplibre, map, element, shownLayers, nameOf, toldAs = (feature, field, value) => value) {
  const popups = new Set();
  const close = () => popups.forEach((popup) => popup.remove());
  const canvas = map.getCanvas();

  function open(point, reach) {
    close();
    const layers = shownLayers().map((layer) => layer.id);
    if (!layers.length) { return; }
    const box = [[point.x - reach, point.y - reach], [point.x + reach, point.y + reach]];
    const found = new Map();
    for (const feature of map.queryRenderedFeatures(box, { layers: layers })) {
      /* A polygon is drawn twice, and a feature on the edge of tiles is in several. */
      found.set(nameOf(feature) + JSON.stringify([feature.id, feature.properties]), feature);
    }
    if (!found.size) { return; }
    const content = document.createElement("div");
    const features = Array.from(found.values());
    const told = features.slice(0, FEATURES_TOLD);
    content.append(...told.map((feature) => described(feature, nameOf(feature), toldAs)));
    const more = features.length - FEATURES_TOLD;
    if (more > 0) { content.append(text("p", "and " + more + " more")); }
    const popup = new maplibre.Popup({ maxWidth: "18rem" });
    popup.setLngLat(map.unproject(point)).setDOMContent(content).addTo(map);
    popups.add(popup);
    popup.on("close", () => { popups.delete(popup); });
  }

  map.on("click", (event) => open(event.point, REACH_PX));
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") { return; }
    event.preventDefault(); /* or the same key presses the button of the popup, which has the focus then */
    open(map.project(map.getCenter()), MIDDLE_REACH_PX);
  });
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && popups.size) {
      close();
      canvas.focus();
    }
  });
  return close;
}
