/* The map of a page of OGC API: the features that the page tells, from its own address as JSON.
   `data-map-ready` on the body says that they have been drawn. */

import { createMap, letAsk, repaint, styleLayers } from "./feature_map.js";

const SOURCE = "features";
const element = document.getElementById("ogc-map");
const told = document.getElementById("ogc-told");

function tell(text) { told.textContent = text; }

async function read(address) {
  const answer = await fetch(address, { credentials: "same-origin", headers: { Accept: "application/geo+json" } });
  if (!answer.ok) { throw new Error("the server answered " + answer.status); }
  return answer.json();
}

/* The longitudes of a line or polygon that is cut at the antimeridian lie on both sides: then the map shows the world. */
function boundsOf(maplibre, collection) {
  const bounds = new maplibre.LngLatBounds();
  const extend = (coordinates) => {
    if (typeof coordinates[0] === "number") { bounds.extend([coordinates[0], coordinates[1]]); return; }
    coordinates.forEach(extend);
  };
  const features = collection.features || [collection];
  features.forEach((feature) => { if (feature.geometry) { extend(feature.geometry.coordinates); } });
  return bounds;
}

function draw(map, maplibre, collection) {
  map.addSource(SOURCE, { type: "geojson", data: collection });
  const layers = styleLayers(SOURCE);
  layers.forEach((layer) => map.addLayer(layer));
  const bounds = boundsOf(maplibre, collection);
  if (!bounds.isEmpty()) { map.fitBounds(bounds, { padding: 40, maxZoom: 15, animate: false }); }
  letAsk(maplibre, map, element, () => layers, () => document.querySelector("h1").textContent.split(":")[0]);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint(map, layers));
  tell(bounds.isEmpty() ? "Nothing here has a place." : "Click something to see its fields.");
  map.on("idle", () => { document.body.dataset.mapReady = "yes"; });
}

try {
  const [maplibre, collection] = await Promise.all([
    import("../vendor/maplibre/maplibre-gl.mjs"), read(element.dataset.features),
  ]);
  const map = createMap(maplibre, element, [0, 0]);
  map.on("error", (event) => tell("Some of the map cannot be shown: " + event.error.message + "."));
  map.once("load", () => draw(map, maplibre, collection));
} catch (error) {
  tell("The map cannot be shown: " + error.message + ".");
}
